import { isOff, linesOf, type Written, wordsOf } from './source-lines.js'

/**
 * Matches a word of sources.list(5): within quotes and brackets it may hold blanks, and `#` begins no
 * comment.
 */
const WORD = /(?:\[(?:"[^"]*"?|[^\]"]+)*\]?|"[^"]*"?|[^\s#["]+)+|#.*/g
const OPTIONS = /^\[(?:"[^"]*"?|[^\]"]+)*\]?/

/** Reads the URIs of `deb [ options ] uri suite component...` lines. */
export function parseSourcesList(text: string): Written[] {
  return linesOf(text).flatMap(({ text, line }) => {
    const words = (text.match(WORD) ?? []).filter((word) => !word.startsWith('#'))
    if (!/^deb(?:-src)?$/.test(words[0] ?? '')) return []
    // apt takes a URI right after the bracket.
    const [uri] = words
      .slice(1)
      .map((word) => word.replace(OPTIONS, ''))
      .filter((word) => word !== '')
    return uri === undefined ? [] : [{ text: uri.replace(/^"|"$/g, ''), line }]
  })
}

/** Reads the URIs of the enabled stanzas of a `.sources` file (deb822). */
export function parseSources(text: string): Written[] {
  return stanzasOf(linesOf(text)).flatMap((fields) => {
    const enabled = fields.get('enabled')?.[0]?.text ?? 'yes'
    return isOff(enabled) ? [] : (fields.get('uris') ?? [])
  })
}

/** The words of each field by its name in lower case. Of a repeated field apt takes the last. */
type Stanza = Map<string, Written[]>

/**
 * Splits a file into stanzas at empty lines; a line that begins with a blank continues the field above it.
 */
function stanzasOf(lines: readonly Written[]): Stanza[] {
  const stanzas: Stanza[] = [new Map()]
  let last: Written[] = []
  for (const line of lines) {
    const field = /^([^\s:#][^\s:]*)\s*:(.*)$/s.exec(line.text)
    if (line.text === '') {
      stanzas.push(new Map())
      last = []
    } else if (/^\s/.test(line.text)) last.push(...wordsOf(line))
    else if (field) {
      last = wordsOf({ ...line, text: field[2]! })
      stanzas.at(-1)!.set(field[1]!.toLowerCase(), last)
    }
  }
  return stanzas
}
