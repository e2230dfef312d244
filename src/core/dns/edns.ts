/**
 * Checks the OPT record of a query (RFC 6891). Options that programs use are no longer than their RFC has them, and all
 * others are short: a resolver sends none of them on (RFC 6891, section 6.2.6), but reads what follows.
 */

const TYPE_OPT = 41
/** Bytes of root name, type, class, TTL and length of data. */
const HEADER = 11
/** The bits of the TTL that must be 0: extended code, version, and all flags but DO (RFC 3225). */
const MUST_BE_0 = 0xffff7fff

/** Whether the `length` bytes of an option's data, from `at`, may be sent. */
type Check = (length: number, bytes: Uint8Array, at: number) => boolean

/** Bytes of an option that is not in the list. */
const MAX_UNKNOWN = 32
/** Bytes of all options: those of the list at their longest, and some others. */
const MAX_ALL = 320

const isEmpty: Check = (length) => length === 0
const areZeros: Check = (length, bytes, at) => {
  for (let i = at; i < at + length; i++) if (bytes[i] !== 0) return false
  return true
}

/** The options with rules of their own, by code (IANA, DNS EDNS0 Option Codes). */
const OPTIONS: ReadonlyMap<number, Check> = new Map<number, Check>([
  // NSID (RFC 5001)
  [3, isEmpty],
  // edns-client-subnet (RFC 7871): family, two prefix lengths, an address
  [8, (length) => length >= 4 && length <= 20],
  // COOKIE (RFC 7873): 8 bytes from the client, 8 to 32 from the server
  [10, (length) => length === 8 || (length >= 16 && length <= 40)],
  // edns-tcp-keepalive (RFC 7828)
  [11, isEmpty],
  // Padding (RFC 7830) to the next 128 bytes (RFC 8467)
  [12, (length, bytes, at) => length <= 128 && areZeros(length, bytes, at)],
])

/** Whether the bytes from `at` up to, without, `end` are one OPT record with allowed options only. */
export function isOpt(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + HEADER > end || bytes[at] !== 0 || word(bytes, at + 1) !== TYPE_OPT) return false
  const ttl = ((word(bytes, at + 5) << 16) | word(bytes, at + 7)) >>> 0
  if ((ttl & MUST_BE_0) !== 0) return false
  return at + HEADER + word(bytes, at + 9) === end && areOptions(bytes, at + HEADER, end)
}

function areOptions(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > MAX_ALL) return false
  const seen = new Set<number>()
  for (let at = start; at < end; ) {
    if (at + 4 > end) return false
    const [code, length] = [word(bytes, at), word(bytes, at + 2)]
    const check = OPTIONS.get(code)
    if (seen.has(code) || at + 4 + length > end) return false
    if (check === undefined ? length > MAX_UNKNOWN : !check(length, bytes, at + 4)) return false
    seen.add(code)
    at += 4 + length
  }
  return true
}

/** Reads a number of 16 bits in network order. */
export const word = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
