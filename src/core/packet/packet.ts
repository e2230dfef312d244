/**
 * Decodes the headers of one outgoing IP packet: addresses, protocol, ports.
 *
 * It is strict on purpose. A packet is accepted only if it really goes to the address and port in its
 * headers: a source route or a fragment could carry it past the address and port that were judged. Checksums
 * are not checked: at the OUTPUT hook the network card has often not computed them yet.
 */

import { type Family, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from './ip.js'

/**
 * Why a packet cannot be judged.
 *
 * - `truncated`: a header is incomplete, in the packet itself or in the captured part of it
 * - `bad-version`: neither IPv4 nor IPv6
 * - `bad-header-length`: an IPv4 header length below 20 bytes
 * - `bad-total-length`: the IP length is shorter than its header or longer than the packet
 * - `bad-options`: the lengths of the IPv4 options are inconsistent
 * - `source-routed`: the packet goes on from the destination in its header to another address
 * - `fragment`: a part of a packet (IPv6 atomic fragments, RFC 6946, are whole packets and are read)
 * - `extension-headers`: more than eight IPv6 extension headers, or hop-by-hop options not in first place
 * - `bad-tcp-offset`: a TCP header length below 20 bytes or beyond the end of the packet
 * - `bad-udp-length`: a UDP length below 8 bytes or beyond the end of the packet
 */
export type Malformed =
  | 'truncated'
  | 'bad-version'
  | 'bad-header-length'
  | 'bad-total-length'
  | 'bad-options'
  | 'source-routed'
  | 'fragment'
  | 'extension-headers'
  | 'bad-tcp-offset'
  | 'bad-udp-length'

// include/net/tcp.h: #define TCPHDR_FIN BIT(0), _SYN BIT(1), _RST BIT(2), _ACK BIT(4), _URG BIT(5)
export const TCPHDR_FIN = 0x01
export const TCPHDR_SYN = 0x02
export const TCPHDR_RST = 0x04
export const TCPHDR_ACK = 0x10
export const TCPHDR_URG = 0x20

// include/uapi/linux/ip.h: #define IPOPT_END (0 | IPOPT_CONTROL), IPOPT_NOOP (1 | IPOPT_CONTROL)
const IPOPT_END = 0
const IPOPT_NOOP = 1
// include/uapi/linux/ip.h: #define IPOPT_LSRR (3 | IPOPT_CONTROL | IPOPT_COPY), IPOPT_SSRR (9 | ...)
const IPOPT_LSRR = 0x83
const IPOPT_SSRR = 0x89

// include/net/ip.h: #define IP_MF 0x2000, IP_OFFSET 0x1FFF
const IP_MF_OR_OFFSET = 0x2000 | 0x1fff
// include/net/ipv6.h: #define IP6_MF 0x0001, IP6_OFFSET 0xFFF8
const IP6_MF_OR_OFFSET = 0x0001 | 0xfff8

// include/uapi/linux/in6.h and in.h; the last two are in no kernel header, the names are IANA's.
const IPPROTO_HOPOPTS = 0
const IPPROTO_ROUTING = 43
const IPPROTO_FRAGMENT = 44
const IPPROTO_AH = 51
const IPPROTO_DSTOPTS = 60
const IPPROTO_MH = 135
const IPPROTO_HIP = 139
const IPPROTO_SHIM6 = 140

/** sizeof(struct iphdr), ipv6hdr, tcphdr, udphdr, icmphdr. */
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const TCP_HEADER = 20
const UDP_HEADER = 8
const ICMP_HEADER = 8

/** The maximum length of a chain of extension headers: a longer one has no honest use and would cost time. */
const MAX_EXTENSION_HEADERS = 8

/**
 * Holds the headers of a packet. One object is made once and written over by each `decode`: copy what must
 * outlive the next call. After a malformed packet it holds what was read until the error and 0 for the rest,
 * never data of the packet before.
 */
export class Packet {
  family: Family = 4
  /** The upper-layer protocol, after all extension headers (IANA number). */
  protocol = 0
  /** As `Words`: host order; IPv4 in the first word, the others 0. */
  readonly source = new Uint32Array(4)
  readonly destination = new Uint32Array(4)
  /** 0 unless TCP or UDP. */
  sourcePort = 0
  destinationPort = 0
  /** The TCPHDR_* bits (byte 13 of the header); 0 unless TCP. */
  tcpFlags = 0
  /** 0 unless ICMP in IPv4 or ICMPv6 in IPv6. */
  icmpType = 0
  icmpCode = 0
  /** The bytes that were given to `decode`. */
  bytes: Uint8Array = new Uint8Array()
  /** Whether all its bytes are there, and the kernel will not cut it into several. The owner of the object sets it. */
  isWhole = false
  /** Whether there is anything between the IP header and the transport header: IPv4 options, IPv6 extension headers. */
  hasOptions = false
  /** Index, in `bytes`, of the transport header. */
  transportOffset = 0
  /** Index, in `bytes`, of the first byte after the transport header. */
  payloadOffset = 0
  /** Index, in `bytes`, after the last captured byte of the payload. */
  payloadEnd = 0
}

// include/uapi/linux/icmp.h: #define ICMP_ECHO 8; include/uapi/linux/icmpv6.h: #define ICMPV6_ECHO_REQUEST 128
export const ECHO_REQUEST = { 4: 8, 6: 128 } as const
/** Offset of the identifier of an echo request in struct icmphdr and icmp6hdr. */
const ICMP_IDENTIFIER = 4

/** Returns the identifier of an echo request (RFC 792; RFC 4443, section 4.1); 0 for any other packet. */
export function pingIdentifier({ family, protocol, icmpType, bytes, transportOffset }: Packet): number {
  const icmp = family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6
  if (protocol !== icmp || icmpType !== ECHO_REQUEST[family]) return 0
  const at = transportOffset + ICMP_IDENTIFIER
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/**
 * Decodes the packet in `bytes` from `start` up to, without, `end`. It begins with the IP header.
 *
 * @param end at most `bytes.length`. The captured part may be shorter than the packet, but must hold all
 *   headers
 * @param fullLength the packet's length on the way out, in bytes (NFQA_CAP_LEN, or `end - start` without it)
 * @param packet is overwritten
 * @returns undefined when all of `packet` is valid, else what is wrong with it. Never throws
 */
export function decode(
  bytes: Uint8Array,
  start: number,
  end: number,
  fullLength: number,
  packet: Packet,
): Malformed | undefined {
  reset(packet)
  packet.bytes = bytes
  if (start >= end) return 'truncated'
  const version = bytes[start]! >> 4
  if (version === 4) return decodeIpv4(bytes, start, end, fullLength, packet)
  if (version === 6) return decodeIpv6(bytes, start, end, fullLength, packet)
  return 'bad-version'
}

function reset(packet: Packet): void {
  packet.family = 4
  packet.protocol = 0
  packet.sourcePort = 0
  packet.destinationPort = 0
  packet.tcpFlags = 0
  packet.icmpType = 0
  packet.icmpCode = 0
  packet.hasOptions = false
  packet.transportOffset = 0
  packet.payloadOffset = 0
  packet.payloadEnd = 0
  for (let i = 0; i < 4; i++) {
    packet.source[i] = 0
    packet.destination[i] = 0
  }
}

/** Decodes an IPv4 header: struct iphdr, include/uapi/linux/ip.h; RFC 791. */
function decodeIpv4(
  bytes: Uint8Array,
  start: number,
  end: number,
  fullLength: number,
  packet: Packet,
): Malformed | undefined {
  if (end - start < IPV4_HEADER) return 'truncated'
  packet.protocol = bytes[start + 9]!
  packet.source[0] = readUint32(bytes, start + 12)
  packet.destination[0] = readUint32(bytes, start + 16)
  const headerLength = (bytes[start]! & 0x0f) * 4
  if (headerLength < IPV4_HEADER) return 'bad-header-length'
  // BIG TCP: a length that does not fit into 16 bits is written as 0 (iph_totlen in include/linux/ip.h).
  const written = readUint16(bytes, start + 2)
  const totalLength = written === 0 && fullLength > 0xffff ? fullLength : written
  if (totalLength < headerLength || totalLength > fullLength) return 'bad-total-length'
  packet.payloadOffset = start + headerLength
  packet.hasOptions = headerLength > IPV4_HEADER
  packet.payloadEnd = Math.min(end, start + totalLength)
  if (packet.payloadOffset > packet.payloadEnd) return 'truncated'
  const problem = checkOptions(bytes, start + IPV4_HEADER, packet.payloadOffset)
  if (problem !== undefined) return problem
  if ((readUint16(bytes, start + 6) & IP_MF_OR_OFFSET) !== 0) return 'fragment'
  return decodeTransport(bytes, start + totalLength, packet)
}

/**
 * Checks the IPv4 options (RFC 791, section 3.1). An unprivileged process can set any of them (IP_OPTIONS,
 * ip(7)); with a source route, the destination in the header is only the first stop.
 */
function checkOptions(bytes: Uint8Array, start: number, end: number): Malformed | undefined {
  let at = start
  while (at < end) {
    const kind = bytes[at]!
    if (kind === IPOPT_END) return undefined
    if (kind === IPOPT_LSRR || kind === IPOPT_SSRR) return 'source-routed'
    if (kind === IPOPT_NOOP) {
      at++
      continue
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0
    if (length < 2 || at + length > end) return 'bad-options'
    at += length
  }
  return undefined
}

/** Decodes an IPv6 header: struct ipv6hdr, include/uapi/linux/ipv6.h; RFC 8200. */
function decodeIpv6(
  bytes: Uint8Array,
  start: number,
  end: number,
  fullLength: number,
  packet: Packet,
): Malformed | undefined {
  packet.family = 6
  if (end - start < IPV6_HEADER) return 'truncated'
  packet.protocol = bytes[start + 6]!
  for (let i = 0; i < 4; i++) {
    packet.source[i] = readUint32(bytes, start + 8 + 4 * i)
    packet.destination[i] = readUint32(bytes, start + 24 + 4 * i)
  }
  // Jumbograms (RFC 2675) and BIG TCP: a length that does not fit into 16 bits is written as 0.
  const written = readUint16(bytes, start + 4)
  const jumbo = written === 0 && fullLength > IPV6_HEADER + 0xffff
  const totalLength = jumbo ? fullLength : IPV6_HEADER + written
  if (totalLength > fullLength) return 'bad-total-length'
  packet.payloadOffset = start + IPV6_HEADER
  packet.payloadEnd = Math.min(end, start + totalLength)
  const problem = skipExtensionHeaders(bytes, packet)
  if (problem !== undefined) return problem
  packet.hasOptions = packet.payloadOffset > start + IPV6_HEADER
  return decodeTransport(bytes, start + totalLength, packet)
}

/** Moves `protocol` and `payloadOffset` past the chain of extension headers. */
function skipExtensionHeaders(bytes: Uint8Array, packet: Packet): Malformed | undefined {
  for (let passed = 0; isExtensionHeader(packet.protocol); passed++) {
    if (passed === MAX_EXTENSION_HEADERS) return 'extension-headers'
    // RFC 8200, section 4.1: hop-by-hop options only directly after the IPv6 header.
    if (packet.protocol === IPPROTO_HOPOPTS && passed > 0) return 'extension-headers'
    const problem = skipExtensionHeader(bytes, packet)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** Whether another header follows. ESP and "no next header" end the chain: nothing readable follows. */
function isExtensionHeader(protocol: number): boolean {
  switch (protocol) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_FRAGMENT:
    case IPPROTO_AH:
    case IPPROTO_DSTOPTS:
    case IPPROTO_MH:
    case IPPROTO_HIP:
    case IPPROTO_SHIM6:
      return true
    default:
      return false
  }
}

/** Skips one header: struct ipv6_opt_hdr, ipv6_rt_hdr, frag_hdr, ip_auth_hdr. Byte 0 is the next protocol. */
function skipExtensionHeader(bytes: Uint8Array, packet: Packet): Malformed | undefined {
  const at = packet.payloadOffset
  if (at + 8 > packet.payloadEnd) return 'truncated'
  const kind = packet.protocol
  let length = (bytes[at + 1]! + 1) * 8
  if (kind === IPPROTO_ROUTING) {
    const segmentsLeft = bytes[at + 3]!
    if (segmentsLeft > 0) return 'source-routed'
  } else if (kind === IPPROTO_FRAGMENT) {
    if ((readUint16(bytes, at + 2) & IP6_MF_OR_OFFSET) !== 0) return 'fragment'
    length = 8
  } else if (kind === IPPROTO_AH) {
    // RFC 4302, section 2.2: in words of four bytes, minus two.
    length = (bytes[at + 1]! + 2) * 4
  }
  if (at + length > packet.payloadEnd) return 'truncated'
  packet.protocol = bytes[at]!
  packet.payloadOffset = at + length
  return undefined
}

/** Decodes the transport header. @param realEnd where the packet ends, captured or not */
function decodeTransport(bytes: Uint8Array, realEnd: number, packet: Packet): Malformed | undefined {
  const protocol = packet.protocol
  packet.transportOffset = packet.payloadOffset
  if (protocol === IPPROTO_TCP) return decodeTcp(bytes, realEnd, packet)
  if (protocol === IPPROTO_UDP) return decodeUdp(bytes, realEnd, packet)
  // Each has a meaning in its own family only; in the other family it is a protocol like any other.
  if (protocol === (packet.family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) return decodeIcmp(bytes, packet)
  return undefined
}

/** Decodes a TCP header: struct tcphdr, include/uapi/linux/tcp.h; RFC 9293. */
function decodeTcp(bytes: Uint8Array, realEnd: number, packet: Packet): Malformed | undefined {
  const at = packet.payloadOffset
  if (at + TCP_HEADER > packet.payloadEnd) return 'truncated'
  packet.sourcePort = readUint16(bytes, at)
  packet.destinationPort = readUint16(bytes, at + 2)
  packet.tcpFlags = bytes[at + 13]!
  const headerLength = (bytes[at + 12]! >> 4) * 4
  if (headerLength < TCP_HEADER || at + headerLength > realEnd) return 'bad-tcp-offset'
  if (at + headerLength > packet.payloadEnd) return 'truncated'
  packet.payloadOffset = at + headerLength
  return undefined
}

/** Decodes a UDP header: struct udphdr, include/uapi/linux/udp.h; RFC 768. Its length ends the payload. */
function decodeUdp(bytes: Uint8Array, realEnd: number, packet: Packet): Malformed | undefined {
  const at = packet.payloadOffset
  if (at + UDP_HEADER > packet.payloadEnd) return 'truncated'
  packet.sourcePort = readUint16(bytes, at)
  packet.destinationPort = readUint16(bytes, at + 2)
  const length = readUint16(bytes, at + 4)
  if (length < UDP_HEADER || at + length > realEnd) return 'bad-udp-length'
  packet.payloadOffset = at + UDP_HEADER
  packet.payloadEnd = Math.min(packet.payloadEnd, at + length)
  return undefined
}

/** Decodes an ICMP header: struct icmphdr, icmp6hdr; RFC 792, RFC 4443. */
function decodeIcmp(bytes: Uint8Array, packet: Packet): Malformed | undefined {
  const at = packet.payloadOffset
  if (at + ICMP_HEADER > packet.payloadEnd) return 'truncated'
  packet.icmpType = bytes[at]!
  packet.icmpCode = bytes[at + 1]!
  packet.payloadOffset = at + ICMP_HEADER
  return undefined
}

function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** Returns a signed number; a Uint32Array stores it as the unsigned value. */
function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}
