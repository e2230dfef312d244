/** Finds the servers that BIND forwards to (named.conf(5)). */
import type { Origin } from '../../core/policy/origin.js'
import type { Files, TextFile } from '../mirrors/file-reader.js'
import { globPaths, IncludedFiles } from '../mirrors/paths.js'
import { tokensOf, type Written } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { portOf } from '../server-address.js'
import { type LocalResolver, placedUpstream, RECURSES, UNREADABLE, type Upstream } from './local-resolver.js'

const MAIN = ['/etc/bind/named.conf', '/etc/named.conf', '/usr/local/etc/namedb/named.conf']
const TOKEN = /"[^"\n]*"?|\/\*[\s\S]*?(?:\*\/|$)|\/\/.*|#.*|[{};]|(?:(?!\/[/*])[^\s"{};#])+/g
/** Matches a comment among the tokens. */
const COMMENT = /^(?:\/[/*]|#)/

export function readBind(files: Files): LocalResolver | undefined {
  const main = MAIN.find((path) => files.exists(path))
  if (main === undefined) return undefined
  const reader = new Reader(files)
  reader.read(main)
  const gap = reader.isUnreadable ? UNREADABLE : reader.forwardsAll ? undefined : RECURSES
  return { program: 'bind', upstreams: reader.upstreams, gap, origin: files.leaf(main).at() }
}

class Reader {
  readonly upstreams: Placed<Upstream>[] = []
  /** Whether `forwarders` stand in the options of all zones, or of a view. */
  forwardsAll = false
  isUnreadable = false
  readonly #files: Files
  readonly #included: IncludedFiles

  constructor(files: Files) {
    this.#files = files
    this.#included = new IncludedFiles(files)
  }

  /** Reads a file. @param blocks the first words of the blocks that it is included in */
  read(path: string, outer: readonly string[] = []): void {
    const file = this.#included.read(path)
    if (!file) return
    this.isUnreadable ||= file.isUnreadable
    const blocks = [...outer]
    let words: Written[] = []
    for (const token of tokensOf(file.text, TOKEN, COMMENT)) {
      if (token.text === '{') blocks.push(words[0]?.text ?? '')
      else if (token.text === '}') blocks.pop()
      else if (token.text === ';') this.#statement(words, blocks, file)
      else {
        words.push(token)
        continue
      }
      // The defaults of a block are before it: `forwarders port 5353 { ... }`.
      if (token.text === '{' && blocks.at(-1) === 'forwarders') this.#defaults = optionsOf(words)
      words = []
    }
  }

  #defaults: Options = {}

  #statement(words: readonly Written[], blocks: readonly string[], file: TextFile): void {
    const [first, second] = words
    if (first === undefined) return
    if (first.text === 'include' && second !== undefined)
      for (const path of globPaths(this.#files, unquoted(second.text))) this.read(path, blocks)
    else if (blocks.at(-1) === 'forwarders') this.#forwarder(words, blocks, file.at(first.line))
  }

  /** Takes `192.0.2.53 port 5353 tls name`. */
  #forwarder(words: readonly Written[], blocks: readonly string[], origin: Origin): void {
    const { port, isTls } = { ...this.#defaults, ...optionsOf(words) }
    const found = placedUpstream({ host: unquoted(words[0]!.text), port, isTls }, origin)
    this.upstreams.push(...found)
    if (found.length > 0 && !blocks.includes('zone')) this.forwardsAll = true
  }
}

interface Options {
  port?: number
  isTls?: boolean
}

function optionsOf(words: readonly Written[]): Options {
  const options: Options = {}
  for (const [index, { text }] of words.entries()) {
    const port = text === 'port' ? portOf(words[index + 1]?.text) : undefined
    if (port !== undefined) options.port = port
    if (text === 'tls') options.isTls = words[index + 1]?.text !== 'none'
  }
  return options
}

const unquoted = (text: string): string => text.replace(/^"|"$/g, '')
