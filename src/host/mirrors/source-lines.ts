/** A piece of a file and the line on which it begins. */
export interface Written {
  readonly text: string
  /** Counted from 1. */
  readonly line: number
}

/** Splits a file into lines, without line ends and byte order mark. */
export const linesOf = (text: string): Written[] =>
  text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line, index) => ({ text: line.endsWith('\r') ? line.slice(0, -1) : line, line: index + 1 }))

/** Splits a piece into words at blanks and commas. */
export const wordsOf = ({ text, line }: Written, between = /\s+/): Written[] =>
  text
    .split(between)
    .filter((word) => word !== '')
    .map((word) => ({ text: word, line }))

/** Whether a text is one of the many forms of `no` of package managers. */
export const isOff = (value: string): boolean =>
  /^(?:0|no|n|false|off|without|disabled?|never)$/i.test(value.trim())

/**
 * Splits a text into its tokens, with their lines.
 * @param token matches each token and comment, with the flag g @param comment matches those that are left out
 */
export function tokensOf(text: string, token: RegExp, comment: RegExp): Written[] {
  const tokens: Written[] = []
  let line = 1
  let at = 0
  for (const { 0: found, index } of text.matchAll(token)) {
    for (; at < index; at++) if (text[at] === '\n') line++
    if (!comment.test(found)) tokens.push({ text: found, line })
  }
  return tokens
}
