/**
 * Colours text for a terminal. Text for a file or a pipe, or with NO_COLOR set (no-color.org), stays plain.
 */
export type Paint = (colour: Colour, text: string) => string

/** Codes of ECMA-48, section 8.3.117 (select graphic rendition). */
const CODES = { red: 31, yellow: 33, green: 32, dim: 2, bold: 1 } as const
export type Colour = keyof typeof CODES

const colourful: Paint = (colour, text) => (text === '' ? '' : `\x1b[${CODES[colour]}m${text}\x1b[0m`)
export const plain: Paint = (_, text) => text

export function paintFor(
  { isTTY }: Pick<NodeJS.WriteStream, 'isTTY'>,
  { NO_COLOR, TERM }: Readonly<Record<string, string | undefined>> = process.env,
): Paint {
  return isTTY && !NO_COLOR && TERM !== 'dumb' ? colourful : plain
}
