import { isUtf8 } from 'node:buffer'

/**
 * Turns bytes of the kernel, such as a path, into text. Where they are no UTF-8, each byte outside of
 * ASCII is escaped, `\x9b`: a decoder would put the same letter in place of all of them.
 */
export const textOfBytes = (bytes: Buffer): string =>
  isUtf8(bytes)
    ? bytes.toString()
    : Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`)).join(
        '',
      )
