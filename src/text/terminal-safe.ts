/**
 * Matches characters that must not reach a terminal: controls (C0, DEL, C1), characters that change how text
 * is shown (bidi overrides, zero width, lone surrogates, private use, line separators), combining marks, and
 * letters that are written from right to left, because they change the order of the digits beside them.
 */
const UNSAFE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{M}\p{Default_Ignorable_Code_Point}\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/gu
/** Matches white space of any kind: a field that holds some could be taken for several fields. */
const SPACE = /[\s\p{Zs}]/gu

const MAX_LENGTH = 255

/**
 * Makes text from others, such as an attacker, safe for one line of a terminal: cuts it, and escapes unsafe
 * characters.
 */
export function terminalSafe(text: string, maxLength = MAX_LENGTH): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}...` : text
  return cut.replace(UNSAFE, escaped)
}

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
