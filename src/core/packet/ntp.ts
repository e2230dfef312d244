/** Recognises requests of NTP clients (RFC 5905, section 7.3). */
import { IPPROTO_UDP } from './ip.js'
import type { Packet } from './packet.js'

export const NTP_PORT = 123
/** Bytes of the header, which is all that most requests have. */
const HEADER = 48
/** Bytes behind the header: a key number with the longest digest (RFC 8573), or a short extension field. */
const MAX_BEHIND = 4 + 64
/** Modes of an association: symmetric active (`peer`), client. */
const PEER = 1
const CLIENT = 3
const VERSIONS = [1, 2, 3, 4]

/**
 * Whether a datagram has the form of an NTP request: version, mode and length. The rest of it cannot be checked; it
 * carries 40 bytes at most that mean nothing to a server, and a digest.
 */
export function isNtpRequest({ isWhole, protocol, bytes, payloadOffset, payloadEnd }: Packet): boolean {
  const length = payloadEnd - payloadOffset
  if (
    !isWhole ||
    protocol !== IPPROTO_UDP ||
    length < HEADER ||
    length > HEADER + MAX_BEHIND ||
    length % 4 !== 0
  )
    return false
  const first = bytes[payloadOffset]!
  const mode = first & 7
  return VERSIONS.includes((first >> 3) & 7) && (mode === CLIENT || mode === PEER)
}

/** Returns the request of a client that says nothing about itself: version 4, mode 3 (RFC 9109 asks for no more). */
export function ntpRequest(): Uint8Array {
  const bytes = new Uint8Array(HEADER)
  bytes[0] = (4 << 3) | CLIENT
  return bytes
}
