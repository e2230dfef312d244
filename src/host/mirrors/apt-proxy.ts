import { join } from 'node:path'
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
  /** The path of a file or folder: `dir::etc::sourcelist`. */
  pathOf(setting: keyof typeof PATHS): string
  /** The user that downloads, where it is not apt's own. */
  readonly user: string | undefined
}

/**
 * The settings of apt that name files and folders, with their defaults; a path is relative to the one before
 * it.
 */
const PATHS = {
  dir: '/',
  'dir::etc': 'etc/apt',
  'dir::etc::main': 'apt.conf',
  'dir::etc::sourcelist': 'sources.list',
  'dir::etc::sourceparts': 'sources.list.d',
  'dir::state': 'var/lib/apt',
  'dir::state::lists': 'lists',
} as const

/** Reads the settings: later files override earlier ones, and apt.conf overrides its folder (apt.conf(5)). */
export function readConf(files: Files, found: MirrorCollector): AptConf {
  const values = new Map<string, Sourced>()
  const read = (path: string) => {
    const file = files.read(path)
    for (const setting of parseAptConf(file.text)) take(setting, file, values, found)
  }
  const pathOf = (setting: keyof typeof PATHS) => pathIn(values, setting)
  for (const path of files.list('/etc/apt/apt.conf.d', CONF_PARTS)) read(path)
  read(pathOf('dir::etc::main'))
  for (const [name, { text, origin }] of values)
    if (/^acquire::https?::proxy-?auto-?detect$/.test(name) && text !== '') found.note(origin, AUTO_DETECT)
  return {
    proxyOf: (target) => proxyOf(target, (name) => values.get(name)),
    pathOf,
    user: values.get('apt::sandbox::user')?.text || undefined,
    asksServices: !isOff(values.get('acquire::enablesrvrecords')?.text ?? ''),
  }
}

/**
 * Returns a path as apt does (Configuration::FindFile): each part may be absolute. `/dev/null` is no file.
 */
function pathIn(values: ReadonlyMap<string, Sourced>, setting: keyof typeof PATHS): string {
  const written = values.get(setting)?.text || PATHS[setting]
  const above = setting.slice(0, Math.max(0, setting.lastIndexOf('::'))) as keyof typeof PATHS
  if (written.startsWith('/') || !(above in PATHS)) return join('/', written)
  return join(pathIn(values, above), written)
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
