/** Writes the checksums of packets whose bytes the service sends. */
import { IPPROTO_UDP } from './ip.js'
import type { Packet } from './packet.js'

/** Offset of the checksum in struct udphdr and struct tcphdr. */
const UDP_CHECKSUM = 6
const TCP_CHECKSUM = 16

/**
 * Writes the checksum of a UDP datagram or a TCP segment, whose bytes are all there, into `packet.bytes` (RFC 768, RFC
 * 9293, section 3.1; RFC 8200, section 8.1). The kernel leaves it to the network card, which computes it of what the
 * program has written until then.
 */
export function writeChecksum(packet: Packet): void {
  const { bytes, protocol, transportOffset, payloadEnd } = packet
  const at = transportOffset + (protocol === IPPROTO_UDP ? UDP_CHECKSUM : TCP_CHECKSUM)
  bytes[at] = 0
  bytes[at + 1] = 0
  const length = payloadEnd - transportOffset
  let sum = protocol + length
  for (const words of [packet.source, packet.destination])
    for (const each of words) sum += (each >>> 16) + (each & 0xffff)
  for (let i = 0; i < length; i++)
    sum += i % 2 === 0 ? bytes[transportOffset + i]! << 8 : bytes[transportOffset + i]!
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000)
  // With 0 a datagram would have none; for TCP both are the same number.
  const checksum = ~sum & 0xffff || 0xffff
  bytes[at] = checksum >> 8
  bytes[at + 1] = checksum & 0xff
}

/** Whether a datagram has no checksum: its receiver takes whatever arrives. IPv6 does not allow that (RFC 8200, 8.1). */
export const hasNoChecksum = ({ protocol, bytes, transportOffset }: Packet): boolean =>
  protocol === IPPROTO_UDP &&
  bytes[transportOffset + UDP_CHECKSUM] === 0 &&
  bytes[transportOffset + UDP_CHECKSUM + 1] === 0

/** A header of UDP of which only the checksum is read. */
const UDP_HEADER = Uint8Array.of(0, 0, 0, 0, 0, 0, 0xff, 0xff)

/** Gives a payload to a packet that only this program has made, with a checksum as all programs send it. */
export function setPayload(packet: Packet, payload: Uint8Array): void {
  const header = packet.protocol === IPPROTO_UDP ? UDP_HEADER : new Uint8Array()
  packet.bytes = Uint8Array.of(...header, ...payload)
  packet.payloadOffset = header.length
  packet.payloadEnd = packet.bytes.length
}
