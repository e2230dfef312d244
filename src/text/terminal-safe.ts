/**
 * Matches characters that must not reach a terminal: controls (C0, DEL, C1), characters that change how text
 * is shown (bidi overrides, zero width, lone surrogates, private use, line separators), combining marks, and
 * letters that are written from right to left, because they change the order of the digits beside them.
 */
const UNSAFE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{M}\p{Default_Ignorable_Code_Point}\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/gu
/** Matches white space of any kind: a field that holds some could be taken for several fields. */
const SPACE = /[\s\p{Zs}]/gu
/** Matches what lines of a command may hold besides; in a group, so that `split` returns it, too. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins a colour
const KEPT = /([\n\t]|\x1b\[\d{1,2}m)/

const MAX_LENGTH = 255

/**
 * Makes text from others, such as an attacker, safe for one line of a terminal: cuts it, and escapes unsafe
 * characters.
 */
export function terminalSafe(text: string, maxLength = MAX_LENGTH): string {
  return terminalSafeField(text.length > maxLength ? `${text.slice(0, maxLength)}...` : text)
}

/**
 * Makes text safe that others will print after they have decoded it: escapes unsafe characters, and cuts
 * nothing.
 */
export const terminalSafeField = (text: string): string => text.replace(UNSAFE, escaped)

/** Makes all texts in a value safe, however deep: see terminalSafeField. Keys are the program's own. */
export function terminalSafeFields<T>(value: T): T {
  if (typeof value === 'string') return terminalSafeField(value) as T
  if (Array.isArray(value)) return value.map(terminalSafeFields) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, terminalSafeFields(each)])) as T
}

/**
 * Makes lines of a command safe as a whole: line feeds, tabs and the colours of this program (ECMA-48, select
 * graphic rendition) remain. The fields in the lines should be safe already; this is for those that are not.
 */
export const terminalSafeLines = (text: string): string =>
  text
    .split(KEPT)
    .map((part, index) => (index % 2 === 1 ? part : part.replace(UNSAFE, escaped)))
    .join('')

/** Makes text safe as one field of a line: white space is escaped, too. */
export const terminalSafeWord = (text: string): string => terminalSafe(text).replace(SPACE, escaped)

/**
 * Escapes the unsafe characters of a line of JSON by JSON's own escapes. Apart from tabs they occur only
 * inside of strings.
 */
export const terminalSafeJson = (line: string): string =>
  line
    .replace(/[\t\r\n]/g, ' ')
    .replace(UNSAFE, (unit) => [...Array(unit.length).keys()].map((i) => u16(unit, i)).join(''))

/** Formats a value as JSON that is safe on a terminal. @param indent spaces; undefined for a single line */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).split('\n').map(terminalSafeJson).join('\n')

const u16 = (text: string, at: number) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`

function escaped(character: string): string {
  const code = character.codePointAt(0)!
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}
