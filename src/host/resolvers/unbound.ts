/** Finds the servers that unbound forwards to (unbound.conf(5)). */
import type { Files, TextFile } from '../mirrors/file-reader.js'
import { globPaths, IncludedFiles } from '../mirrors/paths.js'
import { linesOf, type Written } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { portOf } from '../server-address.js'
import { type LocalResolver, placedUpstream, RECURSES, UNREADABLE, type Upstream } from './local-resolver.js'

const MAIN = ['/etc/unbound/unbound.conf', '/usr/local/etc/unbound/unbound.conf']
/** The words of a file: quoted, a comment, or others; within a word `#` begins no comment. */
const WORD = /"[^"]*"?|'[^']*'?|#.*|[^\s"'#][^\s"']*/g
const ZONES = new Set(['forward-zone', 'stub-zone'])
const CLAUSES = new Set([
  ...[
    'server',
    'remote-control',
    'view',
    'python',
    'dynlib',
    'dnscrypt',
    'cachedb',
    'dnstap',
    'rpz',
    'ipset',
  ],
  ...['auth-zone', ...ZONES],
])

/** The settings of one clause: `server`, `forward-zone` ... */
interface Clause {
  readonly kind: string
  readonly settings: { key: string; value: string; at: LocalResolver['origin'] }[]
}

export function readUnbound(files: Files): LocalResolver | undefined {
  const main = MAIN.find((path) => files.exists(path))
  if (main === undefined) return undefined
  const reader = new Reader(files)
  reader.read(main)
  const { clauses, isUnreadable } = reader
  const zones = clauses.filter(({ kind }) => ZONES.has(kind))
  const allTls = clauses.some(
    ({ kind, settings }) => kind === 'server' && isOn(settings, /^(?:tls|ssl)-upstream$/),
  )
  const isWhole = zones.some(({ kind, settings }) => kind === 'forward-zone' && has(settings, 'name', '.'))
  const gap = isUnreadable ? UNREADABLE : isWhole ? undefined : RECURSES
  return {
    program: 'unbound',
    upstreams: zones.flatMap((zone) => upstreamsOf(zone, allTls)),
    gap,
    origin: files.leaf(main).at(),
  }
}

/** Reads `forward-addr: 192.0.2.53@853#dns.example.org`, and names in `forward-host`. */
function upstreamsOf({ settings }: Clause, allTls: boolean): Placed<Upstream>[] {
  const isTls = allTls || isOn(settings, /^(?:forward|stub)-(?:tls|ssl)-upstream$/)
  return settings
    .filter(({ key }) => /^(?:forward|stub)-(?:addr|host)$/.test(key))
    .flatMap(({ value, at }) => {
      const [host = '', port] = value.replace(/#.*$/s, '').split('@')
      return placedUpstream({ host, port: portOf(port), isTls }, at)
    })
}

const isOn = (settings: Clause['settings'], key: RegExp): boolean =>
  settings.findLast((each) => key.test(each.key))?.value === 'yes'
const has = (settings: Clause['settings'], key: string, value: string): boolean =>
  settings.some((each) => each.key === key && each.value === value)

/** Reads a file and those that it includes, as one text. */
class Reader {
  readonly clauses: Clause[] = []
  isUnreadable = false
  readonly #files: Files
  readonly #included: IncludedFiles

  constructor(files: Files) {
    this.#files = files
    this.#included = new IncludedFiles(files)
  }

  read(path: string): void {
    const file = this.#included.read(path)
    if (!file) return
    this.isUnreadable ||= file.isUnreadable
    const words = linesOf(file.text).flatMap(wordsOf)
    for (let i = 0; i < words.length; i++) {
      // The key and its value may be one word.
      const [, key = '', rest = ''] = /^([a-z][\w-]*):(.*)$/s.exec(words[i]!.text) ?? []
      if (key === '') continue
      if (rest === '' && CLAUSES.has(key)) this.clauses.push({ kind: key, settings: [] })
      else this.#setting(key, rest === '' ? words[++i] : { text: rest, line: words[i]!.line }, file)
    }
  }

  #setting(key: string, value: Written | undefined, file: TextFile): void {
    const text = value?.text.replace(/^["']|["']$/g, '') ?? ''
    if (/^include(?:-toplevel)?$/.test(key)) for (const path of globPaths(this.#files, text)) this.read(path)
    else this.clauses.at(-1)?.settings.push({ key, value: text, at: file.at(value?.line) })
  }
}

const wordsOf = ({ text, line }: Written): Written[] =>
  (text.match(WORD) ?? []).filter((word) => !word.startsWith('#')).map((word) => ({ text: word, line }))
