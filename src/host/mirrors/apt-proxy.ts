import { parseAptConf, type Setting } from './apt-conf.js'
import type { Files, TextFile } from './file-reader.js'
import type { MirrorCollector, Sourced, Target } from './mirror-collector.js'
import { isOff } from './source-lines.js'

/** The names of files that apt reads in its folder; it ignores others. */
const CONF_PARTS = /^(?:[\w-]+|[\w-][\w.-]*\.conf)$/

/** The settings of apt that decide which hosts it calls. */
export interface AptConf {
  /** Returns the proxy for a target. */
  proxyOf(target: Target): Sourced | undefined
  /** Whether apt looks SRV records up. */
  readonly asksServices: boolean
}

/** Reads the settings: later files override earlier ones, and apt.conf overrides its folder (apt.conf(5)). */
export function readConf(files: Files, found: MirrorCollector): AptConf {
  const values = new Map<string, Sourced>()
  for (const path of [...files.list('/etc/apt/apt.conf.d', CONF_PARTS), '/etc/apt/apt.conf']) {
    const file = files.leaf(path)
    for (const setting of parseAptConf(file.text)) take(setting, file, values, found)
  }
  for (const [name, { text, origin }] of values)
    if (/^acquire::https?::proxy-?auto-?detect$/.test(name) && text !== '') found.note(origin, AUTO_DETECT)
  return {
    proxyOf: (target) => proxyOf(target, (name) => values.get(name)),
    asksServices: !isOff(values.get('acquire::enablesrvrecords')?.text ?? ''),
  }
}

const AUTO_DETECT = 'a program says which proxy is called: name that proxy in mirrors.hosts'
const INCLUDE = '#include is not followed: name proxies of that file in mirrors.hosts'

function take(setting: Setting, file: TextFile, values: Map<string, Sourced>, found: MirrorCollector): void {
  const { name, text, line, clear } = setting
  if (name === '#include') found.note(file.at(line), INCLUDE)
  else if (!clear) values.set(name, { text, origin: file.at(line) })
  else for (const key of values.keys()) if (key === name || key.startsWith(`${name}::`)) values.delete(key)
}

/**
 * Finds the proxy for a target: one for its host comes before one for all; https falls back to the proxy of
 * http.
 */
function proxyOf<T extends { text: string }>(
  { scheme, host }: Target,
  value: (name: string) => T | undefined,
): T | undefined {
  const methods = scheme === 'https' ? ['https', 'http'] : ['http']
  const names = [`proxy::${host}`, 'proxy'].flatMap((name) =>
    methods.map((method) => `acquire::${method}::${name}`),
  )
  const proxy = names.map(value).find((setting) => setting !== undefined && setting.text !== '')
  // A value without a colon names no host: apt writes DIRECT, people also `false`.
  return proxy?.text.includes(':') ? proxy : undefined
}
