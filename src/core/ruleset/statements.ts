/** Provides matches, statements and commands that several parts of the ruleset have. */

/** Family and name of the table. */
export const TABLE = 'inet checkvalve'

export const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`

/** Sets the bits of the mask and keeps the others. */
export const setMark = (what: 'meta' | 'ct', mask: number, value: number) =>
  `${what} mark set ${what} mark & ${hex(~mask >>> 0)} | ${hex(value)}`

/** Matches a reset: the kernel sends it, without data. */
export const RESET = 'tcp flags & (syn | rst) == rst'
/** Matches a packet that has a user. */
export const ANY_USER = 'meta skuid 0-4294967295'

/** Writes the commands that replace the elements of a set. */
export const refill = (set: string, elements: readonly (string | number)[]): string[] => [
  `flush set ${TABLE} ${set}`,
  ...(elements.length > 0 ? [`add element ${TABLE} ${set} { ${elements.join(', ')} }`] : []),
]
