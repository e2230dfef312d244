import { writeChecksum } from '../packet/checksum.js'
import { IPPROTO_UDP } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import { readQuery } from './question.js'

/** In the third byte of a DNS header the bit QR, in its fourth RA and the code (RFC 1035, section 4.1.1). */
const QR = 0x80
const RA = 0x80
const REFUSED = 5

/** Offset of the two addresses in struct iphdr and ipv6hdr, and bytes of one. */
const ADDRESSES = { 4: { at: 12, length: 4 }, 6: { at: 8, length: 16 } } as const

/**
 * Turns a query over UDP, whose bytes are all there, into the answer that the resolver refuses it: for a program, and
 * for a resolver on this host, that ends one query and says nothing about the server. An ICMP error would.
 * @param start index of the IP header in `packet.bytes` @returns false, and changes nothing, when it is no query
 */
export function turnIntoRefusal(packet: Packet, start: number): boolean {
  const { bytes, family, protocol, transportOffset, payloadOffset, payloadEnd, isWhole } = packet
  if (protocol !== IPPROTO_UDP || !isWhole || readQuery(bytes, payloadOffset, payloadEnd) === undefined)
    return false
  const { at, length } = ADDRESSES[family]
  swap(bytes, start + at, length)
  swap(bytes, transportOffset, 2)
  bytes[payloadOffset + 2]! |= QR
  bytes[payloadOffset + 3] = RA | REFUSED
  // The IPv4 header has the same sum as before.
  writeChecksum(packet)
  return true
}

/** Swaps two neighbouring values. */
function swap(bytes: Uint8Array, at: number, length: number): void {
  const first = bytes.slice(at, at + length)
  bytes.copyWithin(at, at + length, at + 2 * length)
  bytes.set(first, at + length)
}
