/** Recognises requests of NTP clients (RFC 5905, section 7.3), with those of NTS (RFC 8915, section 5). */
import { IPPROTO_UDP } from './ip.js'
import type { Packet } from './packet.js'

export const NTP_PORT = 123
/** The port of key establishment for NTS, over TCP (RFC 8915, section 6). */
export const NTS_PORT = 4460
/** Bytes of the header, which is all that most requests have. */
const HEADER = 48
/** Bytes behind the header: a key number with the longest digest (RFC 8573), or a short extension field. */
const MAX_BEHIND = 4 + 64
/** Bytes of the longest request of NTS: a cookie and seven placeholders of its length. */
const MAX_NTS = 1300
/** Modes of an association: symmetric active (`peer`), client. */
const PEER = 1
const CLIENT = 3
const VERSIONS = [1, 2, 3, 4]

/** Extension fields of NTS (RFC 8915, section 7.6). */
const UNIQUE_IDENTIFIER = 0x0104
const COOKIE = 0x0204
const COOKIE_PLACEHOLDER = 0x0304
const AUTHENTICATOR = 0x0404
/** Fields of chrony that may come with them (chrony.conf(5), `extfield`), of a fixed length. */
const CHRONY_FIELDS = [0xf323, 0xf324]
const CHRONY_FIELD_LENGTH = 28
/** Type and length of a field; its length counts them (RFC 7822, section 7.5). */
const FIELD_HEADER = 4
const MIN_FIELD = 16
/** 32 bytes at least (RFC 8915, section 5.3), and the fields of clients have no more than twice as many. */
const IDENTIFIER_LENGTH = { min: FIELD_HEADER + 32, max: FIELD_HEADER + 64 }
const MAX_COOKIE = FIELD_HEADER + 256
const MAX_PLACEHOLDERS = 7
/** Two lengths, and a nonce and a tag of 64 bytes each at most. */
const MAX_AUTHENTICATOR = FIELD_HEADER + 4 + 64 + 64

/**
 * Whether a datagram has the form of an NTP request: version, mode, length, and the extension fields of a
 * long one. The rest of it cannot be checked: 40 bytes that mean nothing to a server, a digest, and what NTS
 * encrypts.
 */
export function isNtpRequest(packet: Packet): boolean {
  const { isWhole, hasOptions, protocol, bytes, payloadOffset, payloadEnd } = packet
  const length = payloadEnd - payloadOffset
  if (
    !isWhole ||
    hasOptions ||
    protocol !== IPPROTO_UDP ||
    length < HEADER ||
    length > MAX_NTS ||
    length % 4 !== 0
  )
    return false
  const first = bytes[payloadOffset]!
  const mode = first & 7
  if (!VERSIONS.includes((first >> 3) & 7) || (mode !== CLIENT && mode !== PEER)) return false
  if (length <= HEADER + MAX_BEHIND) return true
  return mode === CLIENT && hasNtsFields(bytes.subarray(payloadOffset + HEADER, payloadEnd))
}

/**
 * Whether bytes are the extension fields of an NTS request, and nothing else: one identifier, one cookie,
 * placeholders of the cookie's length, and one authenticator at the end, since no other field may follow it.
 */
function hasNtsFields(bytes: Uint8Array): boolean {
  const seen = new Set<number>()
  let cookie = 0
  const placeholders: number[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = fieldLength(bytes, at)
    const type = read16(bytes, at)
    if (length === undefined || seen.has(AUTHENTICATOR) || seen.has(type)) return false
    if (!hasLengthOf(type, length)) return false
    if (type === AUTHENTICATOR && !isAuthenticator(bytes.subarray(at, at + length))) return false
    if (type === COOKIE) cookie = length
    if (type === COOKIE_PLACEHOLDER) placeholders.push(length)
    else seen.add(type)
    at += length
  }
  const isWhole = [UNIQUE_IDENTIFIER, COOKIE, AUTHENTICATOR].every((type) => seen.has(type))
  return isWhole && placeholders.length <= MAX_PLACEHOLDERS && placeholders.every((each) => each === cookie)
}

/** Returns the length of a field that is whole; its header included. */
function fieldLength(bytes: Uint8Array, at: number): number | undefined {
  if (bytes.length - at < MIN_FIELD) return undefined
  const length = read16(bytes, at + 2)
  return length < MIN_FIELD || length % 4 !== 0 || length > bytes.length - at ? undefined : length
}

/** Whether a field of that type may have that length. No other type belongs into a request. */
function hasLengthOf(type: number, length: number): boolean {
  if (type === UNIQUE_IDENTIFIER) return length >= IDENTIFIER_LENGTH.min && length <= IDENTIFIER_LENGTH.max
  if (type === COOKIE || type === COOKIE_PLACEHOLDER) return length <= MAX_COOKIE
  if (type === AUTHENTICATOR) return length <= MAX_AUTHENTICATOR
  return CHRONY_FIELDS.includes(type) && length === CHRONY_FIELD_LENGTH
}

/**
 * Whether nonce and ciphertext fit into an authenticator (RFC 8915, section 5.6); padding may be behind them.
 */
function isAuthenticator(field: Uint8Array): boolean {
  const nonce = read16(field, FIELD_HEADER)
  const ciphertext = read16(field, FIELD_HEADER + 2)
  const padded = (length: number) => (length + 3) & ~3
  return nonce > 0 && ciphertext > 0 && FIELD_HEADER + 4 + padded(nonce) + padded(ciphertext) <= field.length
}

const read16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!

/** Returns the request of a client that says nothing about itself: version 4, mode 3 (RFC 9109 asks for no more). */
export function ntpRequest(): Uint8Array {
  const bytes = new Uint8Array(HEADER)
  bytes[0] = (4 << 3) | CLIENT
  return bytes
}
