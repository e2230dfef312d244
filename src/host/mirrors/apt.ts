/**
 * Finds the mirrors of apt (sources.list(5), apt.conf(5), apt-transport-http(1), apt-transport-mirror(1)).
 */
import type { Origin } from '../../core/policy/origin.js'
import { type AptConf, readConf } from './apt-proxy.js'
import { parseSources, parseSourcesList } from './apt-sources.js'
import type { Files, TextFile } from './file-reader.js'
import { type MirrorCollector, type Sourced, type Target, WEB_PORTS } from './mirror-collector.js'
import { parseMirrorList } from './mirror-list.js'
import type { Written } from './source-lines.js'

/** The names of files that apt reads in its folders; it ignores others. */
const PARTS = /^[\w-][\w.-]*\.(?:list|sources)$/
/** The folder below its lists where apt keeps fetched lists of mirrors. */
const FETCHED_LISTS = 'auxfiles'

export function discoverApt(files: Files, found: MirrorCollector): void {
  const conf = readConf(files, found)
  if (conf.user !== undefined) found.user(conf.user)
  const apt = new Apt(files, found, conf)
  const parts = files.list(conf.pathOf('dir::etc::sourceparts'), PARTS)
  for (const path of [conf.pathOf('dir::etc::sourcelist'), ...parts]) {
    const file = files.read(path)
    const uris = path.endsWith('.sources') ? parseSources(file.text) : parseSourcesList(file.text)
    for (const uri of uris) apt.source(uri, file)
  }
}

class Apt {
  readonly #files: Files
  readonly #found: MirrorCollector
  readonly #conf: AptConf

  constructor(files: Files, found: MirrorCollector, conf: AptConf) {
    this.#files = files
    this.#found = found
    this.#conf = conf
  }

  /** Adds one URI of a source: `http://...`, `mirror+file:/...`, `tor+http://...`. */
  source(uri: Written, file: TextFile): void {
    const [, scheme = '', rest = ''] = /^([a-z0-9.+-]+):(.*)$/is.exec(uri.text) ?? []
    const methods = scheme.toLowerCase().split('+')
    const origin = file.at(uri.line)
    if (methods[0] === 'mirror') this.#list(methods[1] ?? 'http', rest, origin)
    else if (methods.includes('tor')) this.#found.note(origin, TOR)
    else this.#mirror(`${methods.at(-1)}:${rest}`, origin)
    if (methods.length > 1 && !/^(?:mirror|tor)$/.test(methods[0]!)) this.#found.note(origin, OWN_METHOD)
  }

  /** Adds the hosts of a list of mirrors, and the host from which it is fetched. */
  #list(method: string, rest: string, origin: Origin): void {
    const online = !['file', 'copy'].includes(method)
    if (online) this.#mirror(`${method}:${rest}`, origin)
    const path = online
      ? `${this.#conf.pathOf('dir::state::lists')}/${FETCHED_LISTS}/${nameOf(rest)}`
      : rest.replace(/^\/\/(?=\/)/, '')
    const list = this.#files.read(path)
    const compressed = /\.(?:gz|xz|bz2|lzma|lz4|zst)$/.test(path)
    const mirrors = compressed ? [] : parseMirrorList(list.text)
    for (const { text, line } of mirrors) this.#mirror(text, list.at(line), online)
    if (mirrors.length === 0) this.#found.note(origin, compressed ? COMPRESSED : online ? UNKNOWN : EMPTY)
  }

  #mirror(url: string, origin: Origin, quiet = false): void {
    const target = this.#found.target(url, origin, quiet)
    if (target) this.#reach(target, origin)
  }

  /**
   * Adds a target, or its proxy, with the SRV name that apt looks up: for a proxy too it has the scheme of
   * the mirror (methods/http.cc of apt).
   */
  #reach(target: Target, origin: Origin): void {
    const proxy = this.#conf.proxyOf(target)
    const place = proxy ? this.#proxy(proxy, target) : target
    if (!place) return
    const socks = proxy?.text.toLowerCase().startsWith('socks')
    const { host, port } = place
    const service = this.#conf.asksServices && !isAddress(host)
    const name = `_${socks ? 'socks' : target.scheme}._tcp.${host}`
    this.#found.add('apt', { host, port }, proxy?.origin ?? origin, service ? name : undefined)
  }

  #proxy(proxy: Sourced, target: Target): Omit<Target, 'scheme'> | undefined {
    const ports = { http: WEB_PORTS[target.scheme], https: 443, socks5h: 1080 }
    if (proxy.text.includes('://')) return this.#found.proxy(proxy, ports)
    this.#found.note(proxy.origin, NO_SCHEME)
    return undefined
  }
}

const NO_SCHEME = 'apt takes no proxy without a scheme: write http:// before it'
const TOR = 'this goes by the Tor service of this host: allow that service by a rule'
const OWN_METHOD = 'this goes by a method of its own: name what else that calls in mirrors.hosts'
const UNKNOWN =
  'which mirrors this list names is not known before it was fetched once: name them in mirrors.hosts'
const EMPTY = 'this list of mirrors names none'
const COMPRESSED = 'this list is compressed: name its hosts in mirrors.hosts, or unpack it'

const isAddress = (host: string) => host.includes(':') || /\.\d+$/.test(host)

/**
 * Returns the file name of a fetched list: its URI without scheme and user, `/` as `_` (URItoFileName of
 * apt).
 */
function nameOf(rest: string): string {
  const place = rest.replace(/^\/\/(?:[^/]*@)?/, '')
  const quoted = place.replace(/[\\|{}[\]<>"^~_=!@#$%&*\0-\x20\x7f-\uffff]/g, (c) => percent(c))
  return quoted.replaceAll('/', '_')
}

const percent = (character: string) =>
  [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
