/**
 * Finds the servers that dnscrypt-proxy asks, in dnscrypt-proxy.toml and the lists of servers that it has
 * fetched.
 */
import { dirname, join } from 'node:path'
import type { Origin } from '../../core/policy/origin.js'
import type { Files, TextFile } from '../mirrors/file-reader.js'
import { linesOf, type Written } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { splitPort } from '../server-address.js'
import { type LocalResolver, placedUpstream, UNREADABLE, type Upstream } from './local-resolver.js'

const MAIN = ['/etc/dnscrypt-proxy/dnscrypt-proxy.toml', '/etc/dnscrypt-proxy.toml']
const CACHE = '/var/cache/dnscrypt-proxy'
/** Servers whose addresses are taken: a list may have hundreds. */
const SERVERS_AT_MOST = 64
const CHOOSES = 'chooses servers of a public list itself (no server_names)'
const UNKNOWN = 'has servers whose addresses are not known before it fetched their list'
const HTTPS_PORT = 443
/** The protocols of stamps: DNSCrypt, DNS over HTTPS, TLS and QUIC. Others are relays. */
const PROTOCOLS = { dnscrypt: 1, doh: 2, dot: 3, doq: 4 } as const

export function readDnscryptProxy(files: Files): LocalResolver | undefined {
  const main = MAIN.find((path) => files.exists(path))
  if (main === undefined) return undefined
  const file = files.read(main)
  const settings = parseToml(file)
  const stamps = stampsOf(files, settings, dirname(main))
  const names = settings.filter(({ section, key }) => section === '' && key === 'server_names')
  const chosen = names.flatMap(({ values }) => values).slice(0, SERVERS_AT_MOST)
  const servers = chosen.map(({ text, origin }) => {
    const stamp = stamps.get(text)
    return stamp === undefined ? [] : placedUpstream(stamp, origin)
  })
  const bootstrap = settings
    .filter(({ key }) => /^(?:bootstrap|fallback)_resolvers?$/.test(key))
    .flatMap(({ values }) => values)
    .flatMap(({ text, origin }): Placed<Upstream>[] => placedUpstream(splitPort(text), origin))
  const isWhole = servers.length > 0 && servers.every((found) => found.length > 0)
  const gap = isWhole ? undefined : chosen.length === 0 ? CHOOSES : UNKNOWN
  return {
    program: 'dnscrypt-proxy',
    upstreams: [...servers.flat(), ...bootstrap],
    gap: file.isUnreadable ? UNREADABLE : gap,
    origin: file.at(),
  }
}

/** A setting: its values are the texts in quotes, of a list over several lines too. */
interface TomlSetting {
  readonly section: string
  readonly key: string
  readonly values: { text: string; origin: Origin }[]
}

/** Reads sections, and keys with texts or lists of texts: what this file has. It is no parser of all TOML. */
function parseToml(file: TextFile): TomlSetting[] {
  const settings: TomlSetting[] = []
  let section = ''
  let isOpen = false
  for (const { text, line } of linesOf(file.text)) {
    const head = isOpen ? null : /^\s*\[+\s*([^\]]*?)\s*\]/.exec(text)
    const setting = isOpen ? null : /^\s*([\w-]+)\s*=(.*)$/s.exec(text)
    if (head) section = head[1]!.replace(/['"]/g, '')
    if (setting) settings.push({ section, key: setting[1]!, values: [] })
    if (!setting && !isOpen) continue
    const value = withoutComment(setting ? setting[2]! : text)
    const values = textsIn(value).map((each) => ({ text: each, origin: file.at(line) }))
    settings.at(-1)!.values.push(...values)
    const bare = value.replace(QUOTED, '')
    isOpen = (isOpen || bare.includes('[')) && !bare.includes(']')
  }
  return settings
}

const QUOTED = /'[^']*'|"[^"]*"/g
const textsIn = (value: string) => (value.match(QUOTED) ?? []).map((each) => each.slice(1, -1))
const withoutComment = (value: string) => value.replace(/('[^']*'|"[^"]*")|#.*$/g, '$1')

/** A server of a stamp. */
type Stamp = Parameters<typeof placedUpstream>[0]

/** Returns the servers by their names: of the file itself, and of the fetched lists. */
function stampsOf(files: Files, settings: readonly TomlSetting[], folder: string): Map<string, Stamp> {
  const stamps = new Map<string, Stamp>()
  const add = (name: string, written: string) => {
    const stamp = parseStamp(written)
    if (stamp) stamps.set(name, stamp)
  }
  for (const { key, values } of settings.filter((each) => each.key === 'cache_file')) {
    const [path = { text: '' }] = values
    const paths = path.text.startsWith('/')
      ? [path.text]
      : [folder, CACHE].map((each) => join(each, path.text))
    if (key !== '') for (const each of paths) readList(linesOf(files.leaf(each).text), add)
  }
  for (const { section, key, values } of settings)
    if (section.startsWith('static.') && key === 'stamp' && values[0])
      add(section.slice('static.'.length), values[0].text)
  return stamps
}

/** Reads a list of servers in Markdown: `## name`, a description, and a stamp. */
function readList(lines: readonly Written[], add: (name: string, stamp: string) => void): void {
  let name = ''
  for (const { text } of lines) {
    const head = /^##\s+(\S+)/.exec(text)?.[1]
    if (head !== undefined) name = head
    else if (text.startsWith('sdns://')) add(name, text.trim())
  }
}

/**
 * Parses a stamp (dnscrypt.info/stamps-specifications): a protocol, eight bytes of properties, then texts
 * with their lengths: the address, keys, and for HTTPS and TLS the host name.
 */
export function parseStamp(text: string): Stamp | undefined {
  const bytes = Buffer.from(/^sdns:\/\/([\w-]+)$/.exec(text)?.[1] ?? '', 'base64url')
  const isTls = bytes[0] === PROTOCOLS.doh || bytes[0] === PROTOCOLS.dot
  if (!isTls && bytes[0] !== PROTOCOLS.dnscrypt && bytes[0] !== PROTOCOLS.doq) return undefined
  const address = textAt(bytes, 9)
  if (address === undefined) return undefined
  const own = bytes[0] === PROTOCOLS.dot || bytes[0] === PROTOCOLS.doq ? 853 : HTTPS_PORT
  // An address of a port alone (`:8443`), or none: the host name is looked up.
  const { host, port } = splitPort(address.text)
  if (host !== '') return { host, port: port ?? own, isTls }
  const name = hostName(bytes, address.end)
  if (name === undefined) return undefined
  const named = splitPort(name)
  return { host: named.host, port: port ?? named.port ?? own, isTls }
}

function textAt(bytes: Buffer, at: number): { text: string; end: number } | undefined {
  const length = bytes[at]
  const end = at + 1 + (length ?? 0)
  return length === undefined || end > bytes.length
    ? undefined
    : { text: bytes.toString('latin1', at + 1, end), end }
}

/** Returns the text behind a set of keys; all keys but the last have the highest bit of their length set. */
function hostName(bytes: Buffer, from: number): string | undefined {
  for (let at = from; at < bytes.length; ) {
    const length = bytes[at]!
    at += 1 + (length & 0x7f)
    if ((length & 0x80) === 0) return textAt(bytes, at)?.text
  }
  return undefined
}
