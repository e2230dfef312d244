/**
 * Finds the hosts that snapd calls: system options `proxy.*`, store assertions, its environment. The store is
 * in no file.
 */

import { parseJson } from '../../text/json.js'
import { assignment, parseAssignments } from './assignments.js'
import type { Files, TextFile } from './file-reader.js'
import type { MirrorCollector, ProxyPorts, Sourced, Target } from './mirror-collector.js'
import { linesOf, type Written } from './source-lines.js'

const STATE = '/var/lib/snapd/state.json'
const DAEMONS = ['/usr/lib/snapd/snapd', '/usr/libexec/snapd/snapd']
const STORES = '/var/lib/snapd/assertions/asserts-v0/store'
const ENVIRONMENT = '/etc/environment'
const DROP_INS = '/etc/systemd/system/snapd.service.d'

/** The proxy schemes of Go's net/http. */
const GO_PROXY: ProxyPorts = { http: 80, https: 443, socks5: 1080, socks5h: 1080 }

/** A placeholder for the store when it is called through a proxy: its host does not matter then. */
const UNKNOWN_STORE: Target = { scheme: 'https', host: '', port: 443 }
const NAMELESS = 'the store of snapd is named in no file: name its hosts in mirrors.hosts'
const LOGINS =
  'a proxy for all logins: where a package manager is started from one, name this proxy in mirrors.hosts'

export function discoverSnap(files: Files, found: MirrorCollector): void {
  const sign = [STATE, ...DAEMONS].find((path) => files.exists(path))
  if (sign === undefined) return
  const state = files.leaf(STATE)
  const settings = parseState(state.text)
  const environment = readEnvironment(files)
  const stores = readStores(files)
  const proxy = (scheme: 'http' | 'https'): Sourced | undefined => {
    const set = settings[scheme]
    return set ? { text: set.text, origin: state.at(set.line) } : environment(scheme)
  }
  const store = stores.find(({ id }) => id === settings.store?.text)?.url
  const target = store && found.target(store.text, store.origin)
  const way = proxy(target?.scheme ?? 'https')
  if (store && target) found.reach('snap', target, store.origin, way, GO_PROXY)
  else if (way) found.reach('snap', UNKNOWN_STORE, way.origin, way, GO_PROXY)
  else found.note(files.leaf(sign).at(), NAMELESS)
}

type State = Partial<Record<'http' | 'https' | 'store', Written>>

/** Reads the system options `proxy.http`, `proxy.https` and `proxy.store` from snapd's state file. */
export function parseState(text: string): State {
  const proxy = member(parseJson(text), 'data', 'config', 'core', 'proxy')
  const state: State = {}
  for (const key of ['http', 'https', 'store'] as const) {
    const value = member(proxy, key)
    if (typeof value === 'string' && value !== '') state[key] = { text: value, line: lineOf(text, value) }
  }
  return state
}

const lineOf = (text: string, value: string) =>
  text.slice(0, Math.max(0, text.indexOf(JSON.stringify(value)))).split('\n').length

function member(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, key) ? Reflect.get(at, key) : undefined,
    value,
  )
}

/** Reads store assertions: headers `key: value` up to an empty line, then a signature. */
export function parseStore(text: string): Written | undefined {
  const lines = linesOf(text)
  const end = lines.findIndex((line) => line.text === '')
  const url = lines.slice(0, end < 0 ? undefined : end).find((line) => line.text.startsWith('url:'))
  return url && { text: url.text.slice('url:'.length).trim(), line: url.line }
}

/** Finds the assertion of a store: its folder has one file for each format, the newest last. */
function readStores(files: Files): { id: string; url: Sourced }[] {
  return files.list(STORES, /^[^.]/).flatMap((folder) => {
    const file = files
      .list(folder, /^active(?:\.\d+)?$/)
      .map((path) => files.leaf(path))
      .at(-1)
    const url = file && parseStore(file.text)
    if (!file || !url) return []
    return [
      { id: decode(folder.slice(STORES.length + 1)), url: { text: url.text, origin: file.at(url.line) } },
    ]
  })
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    return name
  }
}

/** Reads the proxies of snapd's service: from its drop-ins, and from the file that its unit reads. */
function readEnvironment(files: Files): (scheme: string) => Sourced | undefined {
  const dropIns = files.list(DROP_INS, /^[^.].*\.conf$/s).map((path) => files.leaf(path))
  const sources = [
    { file: files.leaf(ENVIRONMENT), parse: parseAssignments },
    ...dropIns.map((file) => ({ file, parse: parseDropIn })),
  ]
  return (scheme) => {
    const values = sources.map(({ file, parse }) => ({
      file,
      value: assignment(parse(file.text), `${scheme}_proxy`),
    }))
    const last = values.findLast(({ value }) => value !== undefined)
    return last && { text: last.value!.text, origin: last.file.at(last.value!.line) }
  }
}

/** Reads `Environment=` lines of systemd.exec(5), each with one or more assignments. */
const parseDropIn = (text: string) =>
  linesOf(text)
    .filter((line) => /^\s*Environment\s*=/.test(line.text))
    .flatMap(({ text, line }) =>
      [...text.matchAll(/[=\s"'](\w+)=([^\s"']*)/g)].map(([, name, value]) => ({
        name: name!,
        text: value!,
        line,
      })),
    )

/** Adds a note on a proxy of login sessions: no file tells whether package managers use it. */
export function noteLogins(files: Files, found: MirrorCollector): void {
  const file: TextFile = files.leaf(ENVIRONMENT)
  const settings = parseAssignments(file.text)
  const proxy = assignment(settings, 'http_proxy') ?? assignment(settings, 'https_proxy')
  const others = (['apt', 'dnf', 'zypper', 'apk', 'pacman'] as const).some((manager) => found.has(manager))
  if (proxy && others) found.note(file.at(proxy.line), LOGINS)
}
