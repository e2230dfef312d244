/**
 * What must not reach a terminal as it is: controls (C0, DEL, C1) and whatever steers how text is shown (bidi overrides,
 * zero width, lone surrogates, private use, line separators), marks that pile up on a neighbour, and letters that are
 * written from right to left, for they change the order of the digits beside them.
 */
const UNSAFE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{M}\p{Default_Ignorable_Code_Point}\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/gu
/** White space of any kind: a field with some in it could pass for several. */
const SPACE = /[\s\p{Zs}]/gu

const AT_MOST = 255

/** Text that somebody else has chosen, on one line of a terminal: what would do more than be read is written as an escape. */
export function terminalSafe(text: string, atMost = AT_MOST): string {
  const cut = text.length > atMost ? `${text.slice(0, atMost)}...` : text
  return cut.replace(UNSAFE, escaped)
}

/** The same for one field among others. */
export const terminalSafeWord = (text: string): string => terminalSafe(text).replace(SPACE, escaped)

/** A line of JSON that is the same JSON, and safe on a terminal. In JSON all of this can only stand inside of strings, but for tabs. */
export const terminalSafeJson = (line: string): string =>
  line
    .replace(/[\t\r\n]/g, ' ')
    .replace(UNSAFE, (unit) => [...Array(unit.length).keys()].map((i) => u16(unit, i)).join(''))

/** What a program is to read, as JSON that is safe on a terminal, too. @param indent spaces; without any it is one line */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).split('\n').map(terminalSafeJson).join('\n')

const u16 = (text: string, at: number) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`

function escaped(character: string): string {
  const code = character.codePointAt(0)!
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}
