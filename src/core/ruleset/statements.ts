/** Provides matches and statements that several chains have. */

export const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`

/** Sets the bits of the mask and keeps the others. */
export const setMark = (what: 'meta' | 'ct', mask: number, value: number) =>
  `${what} mark set ${what} mark & ${hex(~mask >>> 0)} | ${hex(value)}`

/** Matches a reset: the kernel sends it, without data. */
export const RESET = 'tcp flags & (syn | rst) == rst'
/** Matches a packet that has a user. */
export const ANY_USER = 'meta skuid 0-4294967295'
