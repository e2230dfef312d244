/**
 * Parses YAML to values with their origins. The text may be hostile: depth and number of values are limited.
 */
import {
  CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError,
} from 'yaml'
import type { Origin } from '../core/policy/origin.js'
import type { Problem } from './problems.js'

export type Scalar = string | number | boolean | null

/** A value with its origin. `size` is the number of values in it; every use of an alias counts. */
export type YamlValue = { readonly origin: Origin; readonly size: number } & (
  | { readonly kind: 'scalar'; readonly value: Scalar }
  | { readonly kind: 'list'; readonly items: readonly YamlValue[] }
  | { readonly kind: 'mapping'; readonly entries: readonly YamlEntry[] }
)

/** One `key: value`. The origin is the line of the key: a value may begin on a later line. */
export interface YamlEntry {
  readonly key: string
  readonly origin: Origin
  readonly value: YamlValue
}

/** Maximum depth. The parser recurses: about 100,000 levels would end the process instead of throwing. */
const MAX_DEPTH = 64
/** Maximum number of values: far more than 1 MiB of honest text holds. A bomb of aliases soon exceeds it. */
const MAX_VALUES = 200_000
const MAX_SYNTAX_PROBLEMS = 5

export interface ParsedText {
  /** undefined when the text holds no value (only comments), or when its syntax is wrong. */
  readonly root: YamlValue | undefined
  readonly problems: readonly Problem[]
}

/** Parses one YAML document. `hasLines` is false for a single value, whose origin has no line. */
export function parseYaml(text: string, file: string, hasLines = true): ParsedText {
  const lines = new LineCounter()
  const origin = (offset: number): Origin => ({
    file,
    line: hasLines ? lines.linePos(offset).line : undefined,
  })
  const deep = tooDeep(text)
  if (deep !== undefined) {
    const line = hasLines ? deep : undefined
    return {
      root: undefined,
      problems: [{ origin: { file, line }, key: '', reason: 'is nested too deeply' }],
    }
  }
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: false,
  })
  const problems = syntaxProblems(document, lines, origin)
  if (problems.length > 0 || document.contents === null) return { root: undefined, problems }
  const reader = new Reader(origin)
  const root = reader.read(document.contents, origin(0))
  return { root, problems: reader.problems }
}

/** Parses a single value. Text that is no YAML (`[::1]:80`) becomes a scalar of the whole text. */
export function parseValue(text: string, file: string): YamlValue {
  const { root, problems } = parseYaml(text, file, false)
  if (root !== undefined && problems.length === 0) return root
  return { kind: 'scalar', value: text, origin: { file, line: undefined }, size: 1 }
}

/**
 * Converts a value to arrays, scalars and objects without prototype, so that a key such as `__proto__` is
 * only a key.
 * @param note called for each inner value with its path (`[2].ports[0]`) and origin
 */
export function plain(
  written: YamlValue,
  note: (path: string, origin: Origin) => void = () => {},
  path = '',
): unknown {
  if (written.kind === 'scalar') return written.value
  const inside = (part: string | number, origin: Origin, value: YamlValue): unknown => {
    note(step(path, part), origin)
    return plain(value, note, step(path, part))
  }
  if (written.kind === 'list') return written.items.map((item, index) => inside(index, item.origin, item))
  const mapping: Record<string, unknown> = Object.create(null)
  for (const entry of written.entries) mapping[entry.key] = inside(entry.key, entry.origin, entry.value)
  return mapping
}

/**
 * Returns the line where brackets, or list marks on one line, are nested too deeply; undefined when there is
 * none.
 */
function tooDeep(text: string): number | undefined {
  let line = 1
  let brackets = 0
  let marks = 0
  for (const token of new Lexer().lex(text)) {
    const type = CST.tokenType(token)
    if (type === 'flow-seq-start' || type === 'flow-map-start') brackets++
    else if (type === 'flow-seq-end' || type === 'flow-map-end') brackets--
    else if (type === 'seq-item-ind' || type === 'explicit-key-ind') marks++
    else if (type === 'newline') marks = 0
    if (brackets > MAX_DEPTH || marks > MAX_DEPTH) return line
    for (const character of token) if (character === '\n') line++
  }
  return undefined
}

/**
 * Returns the useful errors of the parser: after the first error, errors about tokens out of place only
 * follow from it. A tag (`!name`) without meaning is a warning of the parser, and an error here.
 */
function syntaxProblems(
  document: Document.Parsed,
  lines: LineCounter,
  origin: (offset: number) => Origin,
): Problem[] {
  const problems = new Map<number, Problem>()
  for (const error of [...document.errors, ...document.warnings]) {
    const { line, col } = lines.linePos(error.pos[0])
    if (problems.size > 0 && (error.code === 'UNEXPECTED_TOKEN' || problems.has(line))) continue
    problems.set(line, { origin: origin(error.pos[0]), key: '', reason: `${explain(error)} (column ${col})` })
  }
  return [...problems.values()].slice(0, MAX_SYNTAX_PROBLEMS)
}

const EXPLANATIONS: Partial<Record<YAMLError['code'], string>> = {
  TAB_AS_INDENT: 'a tab indents this line: use spaces',
  MULTIPLE_DOCS: 'a second YAML document begins here ("---"): one for each file',
  BLOCK_AS_IMPLICIT_KEY: 'there are two "key: value" on one line: put a value that holds ": " in quotes',
  MULTILINE_IMPLICIT_KEY: 'this line has no "key: value": a colon and a space may be missing',
  NON_STRING_KEY: 'a key is one word, not a list or a mapping',
  BAD_ALIAS: 'a word that begins with * must be in quotes',
  MISSING_CHAR: 'a quote or bracket that was opened before is not closed, or a colon is missing',
}

function explain(error: YAMLError): string {
  const unclosed = /must be sufficiently indented and end with a (.)$/.exec(error.message)
  if (unclosed) return `a closing ${unclosed[1]} is missing before this line`
  const known = EXPLANATIONS[error.code]
  return known ?? `is not valid YAML: ${error.message}`
}

/** Converts the nodes of a document to values. `path` is the key of a value, like `allow[2].ports`. */
class Reader {
  readonly problems: Problem[] = []
  private readonly anchors = new Map<string, YamlValue>()

  constructor(private readonly origin: (offset: number) => Origin) {}

  read(node: Node | null, fallback: Origin, path = ''): YamlValue {
    const origin = node?.range ? this.origin(node.range[0]) : fallback
    if (isAlias(node)) return this.alias(node.source, origin, path)
    const written = this.bounded(this.convert(node, origin, path), path)
    // The anchor is known only after its value, so that an alias inside of its own value is an error.
    if (node && 'anchor' in node && typeof node.anchor === 'string') this.anchors.set(node.anchor, written)
    return written
  }

  private convert(node: Node | null, origin: Origin, path: string): YamlValue {
    if (isMap(node)) {
      const entries = this.entries(node.items as Pair[], origin, path)
      return { kind: 'mapping', entries, origin, size: total(entries.map((entry) => entry.value)) }
    }
    if (isSeq(node)) {
      const items = node.items.map((item, at) => this.read(item as Node | null, origin, step(path, at)))
      return { kind: 'list', items, origin, size: total(items) }
    }
    return { kind: 'scalar', value: isScalar(node) ? (node.value as Scalar) : null, origin, size: 1 }
  }

  private entries(pairs: readonly Pair[], fallback: Origin, path: string): YamlEntry[] {
    const entries = new Map<string, YamlEntry>()
    for (const pair of pairs) {
      const origin = pair.key?.range ? this.origin(pair.key.range[0]) : fallback
      const key = isScalar(pair.key) ? String(pair.key.value ?? '') : ''
      const value = this.read(pair.value, origin, step(path, key))
      const first = entries.get(key)
      if (first === undefined) entries.set(key, { key, origin, value })
      else this.fail(origin, step(path, key), `is written twice, first on line ${first.origin.line}`)
    }
    return [...entries.values()]
  }

  private alias(name: string, origin: Origin, path: string): YamlValue {
    const written = this.anchors.get(name)
    if (written !== undefined) return written
    return this.fail(
      origin,
      path,
      `*${name} must be in quotes: "*${name}" (there is no anchor &${name} before it)`,
    )
  }

  private bounded(written: YamlValue, path: string): YamlValue {
    if (written.size <= MAX_VALUES) return written
    return this.fail(written.origin, path, `holds more than ${MAX_VALUES} values, aliases counted each time`)
  }

  private fail(origin: Origin, key: string, reason: string): YamlValue {
    this.problems.push({ origin, key, reason })
    return { kind: 'scalar', value: null, origin, size: 1 }
  }
}

interface Pair {
  readonly key: Node | null
  readonly value: Node | null
}

/** Returns the path of a key (text) or of a list item (number) inside of `path`. */
export function step(path: string, inside: string | number): string {
  if (typeof inside === 'number') return `${path}[${inside}]`
  return path === '' ? inside : `${path}.${inside}`
}

function total(values: readonly YamlValue[]): number {
  return values.reduce((sum, value) => sum + value.size, 1)
}
