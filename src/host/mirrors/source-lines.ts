/** A piece of a file, and the line on which it begins. */
export interface Written {
  readonly text: string
  /** 1-based. */
  readonly line: number
}

/** The lines of a file, without their ends; a byte order mark is dropped. */
export const linesOf = (text: string): Written[] =>
  text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line, index) => ({ text: line.endsWith('\r') ? line.slice(0, -1) : line, line: index + 1 }))

/** The words of a piece, where blanks or commas part them. */
export const wordsOf = ({ text, line }: Written, between = /\s+/): Written[] =>
  text
    .split(between)
    .filter((word) => word !== '')
    .map((word) => ({ text: word, line }))

/** `no` in the many ways in which package managers write it. */
export const isOff = (value: string): boolean =>
  /^(?:0|no|n|false|off|without|disabled?|never)$/i.test(value.trim())
