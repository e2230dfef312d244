/**
 * Reads the headers of one outgoing IP packet: who sends what to where.
 *
 * Strict on purpose. A packet is only understood if what these headers name is where it really ends up:
 * a source route or a fragment could carry a packet past the address and port that were judged.
 * Checksums are not looked at: at the OUTPUT hook the network card has often not computed them yet.
 */

import { type Family, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from './ip.js'

/**
 * Why a packet cannot be judged.
 *
 * - `truncated`: a header is not whole, in the packet itself or in the part of it that was captured
 * - `bad-version`: neither IPv4 nor IPv6
 * - `bad-header-length`: an IPv4 header length below 20 bytes
 * - `bad-total-length`: the IP length is shorter than its header or longer than the packet
 * - `bad-options`: an IPv4 option list that does not add up
 * - `source-routed`: the packet goes on from the destination in its header to another one
 * - `fragment`: a part of a packet (IPv6 atomic fragments, RFC 6946, are whole packets and pass)
 * - `extension-headers`: more than eight IPv6 extension headers, or hop-by-hop options not in first place
 * - `bad-tcp-offset`: a TCP header length below 20 bytes or behind the end of the packet
 * - `bad-udp-length`: a UDP length below 8 bytes or behind the end of the packet
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

/** A longer chain has no honest use and would cost time. */
const MAX_EXTENSION_HEADERS = 8

/**
 * The headers of a packet. One object is made once and written over by each `decode`: copy what must outlive
 * the next one. After a malformed packet it holds what had been read until then, and 0 for the rest, never
 * anything of the packet before.
 */
export class Packet {
  family: Family = 4
  /** The upper-layer protocol, behind all extension headers (IANA number). */
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
  /** What was given to `decode`. */
  bytes: Uint8Array = new Uint8Array()
  /** Whether the kernel will not cut it into several packets any more: its owner says so. */
  single = false
  /** Index, in `bytes`, of the transport header. */
  transportOffset = 0
  /** Index, in `bytes`, of the first byte behind the transport header. */
  payloadOffset = 0
  /** Index behind the last captured byte of the payload. */
  payloadEnd = 0
}

// include/uapi/linux/icmp.h: #define ICMP_ECHO 8; include/uapi/linux/icmpv6.h: #define ICMPV6_ECHO_REQUEST 128
export const ECHO_REQUEST = { 4: 8, 6: 128 } as const
/** struct icmphdr and icmp6hdr: the identifier of an echo request stands at 4. */
const ICMP_IDENTIFIER = 4

/** The identifier of an echo request (RFC 792; RFC 4443, section 4.1) whose headers were read; 0 where it is none. */
export function pingIdentifier({ family, protocol, icmpType, bytes, transportOffset }: Packet): number {
  const icmp = family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6
  if (protocol !== icmp || icmpType !== ECHO_REQUEST[family]) return 0
  const at = transportOffset + ICMP_IDENTIFIER
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/**
 * Reads a packet that lies in `bytes` from `start` up to, without, `end` and begins with the IP header.
 *
 * @param end at most `bytes.length`; the captured part may be shorter than the packet, but must hold all headers
 * @param fullLength the packet's length on the way out, in bytes (NFQA_CAP_LEN, or `end - start` without it)
 * @param packet is overwritten
 * @returns what is wrong with it, or undefined if all of `packet` is valid. Never throws.
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
  packet.transportOffset = 0
  packet.payloadOffset = 0
  packet.payloadEnd = 0
  for (let i = 0; i < 4; i++) {
    packet.source[i] = 0
    packet.destination[i] = 0
  }
}

/** struct iphdr, include/uapi/linux/ip.h; RFC 791. */
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
  // BIG TCP: a length that 16 bits cannot say is written as 0 (iph_totlen in include/linux/ip.h).
  const written = readUint16(bytes, start + 2)
  const totalLength = written === 0 && fullLength > 0xffff ? fullLength : written
  if (totalLength < headerLength || totalLength > fullLength) return 'bad-total-length'
  packet.payloadOffset = start + headerLength
  packet.payloadEnd = Math.min(end, start + totalLength)
  if (packet.payloadOffset > packet.payloadEnd) return 'truncated'
  const problem = checkOptions(bytes, start + IPV4_HEADER, packet.payloadOffset)
  if (problem !== undefined) return problem
  if ((readUint16(bytes, start + 6) & IP_MF_OR_OFFSET) !== 0) return 'fragment'
  return decodeTransport(bytes, start + totalLength, packet)
}

/**
 * An unprivileged process can set any of these options (IP_OPTIONS, ip(7)); with a source route, the
 * destination in the header is only the first stop. RFC 791, section 3.1.
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

/** struct ipv6hdr, include/uapi/linux/ipv6.h; RFC 8200. */
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
  // Jumbograms (RFC 2675) and BIG TCP: a length that 16 bits cannot say is written as 0.
  const written = readUint16(bytes, start + 4)
  const jumbo = written === 0 && fullLength > IPV6_HEADER + 0xffff
  const totalLength = jumbo ? fullLength : IPV6_HEADER + written
  if (totalLength > fullLength) return 'bad-total-length'
  packet.payloadOffset = start + IPV6_HEADER
  packet.payloadEnd = Math.min(end, start + totalLength)
  const problem = skipExtensionHeaders(bytes, packet)
  if (problem !== undefined) return problem
  return decodeTransport(bytes, start + totalLength, packet)
}

/** Moves `protocol` and `payloadOffset` behind the chain of extension headers. */
function skipExtensionHeaders(bytes: Uint8Array, packet: Packet): Malformed | undefined {
  for (let passed = 0; isExtensionHeader(packet.protocol); passed++) {
    if (passed === MAX_EXTENSION_HEADERS) return 'extension-headers'
    // RFC 8200, section 4.1: only ever directly behind the IPv6 header.
    if (packet.protocol === IPPROTO_HOPOPTS && passed > 0) return 'extension-headers'
    const problem = skipExtensionHeader(bytes, packet)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** ESP and "no next header" are not among them: nothing readable follows, so they end the chain. */
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

/** struct ipv6_opt_hdr, ipv6_rt_hdr, frag_hdr, ip_auth_hdr: all begin with the next header's number. */
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

/** `realEnd` is where the packet ends, captured or not. */
function decodeTransport(bytes: Uint8Array, realEnd: number, packet: Packet): Malformed | undefined {
  const protocol = packet.protocol
  packet.transportOffset = packet.payloadOffset
  if (protocol === IPPROTO_TCP) return decodeTcp(bytes, realEnd, packet)
  if (protocol === IPPROTO_UDP) return decodeUdp(bytes, realEnd, packet)
  // Each only means anything in its own family; in the other one it is a protocol like any other.
  if (protocol === (packet.family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) return decodeIcmp(bytes, packet)
  return undefined
}

/** struct tcphdr, include/uapi/linux/tcp.h; RFC 9293. */
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

/** struct udphdr, include/uapi/linux/udp.h; RFC 768. Bytes behind the UDP length are not payload. */
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

/** struct icmphdr, icmp6hdr; RFC 792, RFC 4443. */
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

/** Signed; a Uint32Array takes it as the unsigned value. */
function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}
