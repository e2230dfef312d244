/**
 * Builds packets as a process sends them, with correct lengths and checksums, so that tests can break them.
 */

import ipaddr from 'ipaddr.js'
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type Words,
} from '../../src/core/packet/ip.js'

export interface IpOptions {
  readonly source?: string
  readonly destination?: string
  /** The protocol of the payload; TCP when not given. Its checksum is filled in. */
  readonly protocol?: number
}

export interface Ipv4Options extends IpOptions {
  /** The option list; padded to a multiple of four bytes. */
  readonly options?: readonly number[]
}

export interface Ipv6Options extends IpOptions {
  readonly extensions?: readonly Extension[]
}

/** An IPv6 extension header. `body` is the whole header; its first byte (the next header) is filled in. */
export interface Extension {
  readonly kind: number
  readonly body: readonly number[]
}

export interface TcpOptions {
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly flags?: number
  readonly sequence?: number
  /** Padded to a multiple of four bytes. */
  readonly options?: readonly number[]
  readonly payload?: Uint8Array
}

export interface UdpOptions {
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly payload?: Uint8Array
}

const NOTHING = new Uint8Array(0)

/** The offset of the checksum in transport headers whose checksum covers the addresses. */
const CHECKSUM_OFFSET = new Map([
  [IPPROTO_TCP, 16],
  [IPPROTO_UDP, 6],
  [IPPROTO_ICMPV6, 2],
])

/** Parses an address. */
export function words(address: string): Words {
  const bytes = ipaddr.parse(address).toByteArray()
  const result = new Uint32Array(4)
  for (const [i, byte] of bytes.entries()) result[i >> 2]! |= byte << (24 - 8 * (i & 3))
  return result
}

export function ipv4(options: Ipv4Options, payload: Uint8Array): Uint8Array {
  const protocol = options.protocol ?? IPPROTO_TCP
  const source = ipaddr.parse(options.source ?? '192.0.2.1').toByteArray()
  const destination = ipaddr.parse(options.destination ?? '198.51.100.2').toByteArray()
  const list = padded(options.options ?? [])
  const header = Uint8Array.from([
    0x40 | (5 + list.length / 4),
    0,
    ...uint16(20 + list.length + payload.length),
    ...[0x12, 0x34, 0x40, 0],
    ...[64, protocol, 0, 0],
    ...source,
    ...destination,
    ...list,
  ])
  header.set(uint16(checksum(header)), 10)
  const pseudo = [...source, ...destination, 0, protocol, ...uint16(payload.length)]
  return join(header, withChecksum(protocol, payload, pseudo))
}

export function ipv6(options: Ipv6Options, payload: Uint8Array): Uint8Array {
  const protocol = options.protocol ?? IPPROTO_TCP
  const source = ipaddr.parse(options.source ?? '2001:db8::1').toByteArray()
  const destination = ipaddr.parse(options.destination ?? '2001:db8:2::2').toByteArray()
  const extensions = options.extensions ?? []
  const kinds = [...extensions.map((extension) => extension.kind), protocol]
  const chain = extensions.flatMap(({ body }, i) => [kinds[i + 1]!, ...body.slice(1)])
  const header = Uint8Array.from([
    ...[0x60, 0, 0, 0],
    ...uint16(chain.length + payload.length),
    kinds[0]!,
    64,
    ...source,
    ...destination,
    ...chain,
  ])
  const pseudo = [...source, ...destination, 0, 0, ...uint16(payload.length), 0, 0, 0, protocol]
  return join(header, withChecksum(protocol, payload, pseudo))
}

/** Builds a TCP segment; the IP header around it fills in the checksum. */
export function tcp(options: TcpOptions = {}): Uint8Array {
  const list = padded(options.options ?? [])
  const header = Uint8Array.from([
    ...uint16(options.sourcePort ?? 40000),
    ...uint16(options.destinationPort ?? 443),
    ...[24, 16, 8, 0].map((shift) => ((options.sequence ?? 1) >>> shift) & 0xff),
    ...[0, 0, 0, 0],
    (5 + list.length / 4) << 4,
    options.flags ?? 0x02,
    ...[0xff, 0xff, 0, 0, 0, 0],
    ...list,
  ])
  return join(header, options.payload ?? NOTHING)
}

/** Builds a UDP datagram; the IP header around it fills in the checksum. */
export function udp(options: UdpOptions = {}): Uint8Array {
  const payload = options.payload ?? NOTHING
  const ports = [...uint16(options.sourcePort ?? 40000), ...uint16(options.destinationPort ?? 53)]
  return join(Uint8Array.from([...ports, ...uint16(8 + payload.length), 0, 0]), payload)
}

/** Builds an ICMP message. In ipv6() with `protocol: IPPROTO_ICMPV6` it becomes an ICMPv6 message. */
export function icmp(type: number, code = 0, payload: Uint8Array = NOTHING): Uint8Array {
  return join(Uint8Array.from([type, code, 0, 0, 0x12, 0x34, 0, 1]), payload)
}

/** Computes the Internet checksum (RFC 1071): 0 for bytes that include their correct checksum. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (const [i, byte] of bytes.entries()) sum += i % 2 === 0 ? byte << 8 : byte
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

function withChecksum(protocol: number, payload: Uint8Array, pseudoHeader: number[]): Uint8Array {
  const result = payload.slice()
  const offset = protocol === IPPROTO_ICMP ? 2 : CHECKSUM_OFFSET.get(protocol)
  if (offset === undefined || payload.length < offset + 2) return result
  result.set([0, 0], offset)
  const covered = protocol === IPPROTO_ICMP ? result : join(Uint8Array.from(pseudoHeader), result)
  const sum = checksum(covered)
  // RFC 768: in UDP, 0 means that there is no checksum.
  result.set(uint16(sum === 0 && protocol === IPPROTO_UDP ? 0xffff : sum), offset)
  return result
}

function uint16(value: number): [number, number] {
  return [(value >> 8) & 0xff, value & 0xff]
}

function padded(list: readonly number[]): number[] {
  return [...list, ...new Array<number>((4 - (list.length % 4)) % 4).fill(0)]
}
