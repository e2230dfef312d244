/** VECTORS has valid packets for the tests of the decoder; the functions decode and change them. */

import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { decode, Packet } from '../../../src/core/packet/packet.js'
import { type Extension, icmp, ipv4, ipv6, tcp, udp } from '../packets.js'

export const PAYLOAD = Uint8Array.from([1, 2, 3, 4, 5])
export const NOTHING = new Uint8Array()
export const HOP_BY_HOP = { kind: 0, body: [0, 0, 1, 4, 0, 0, 0, 0] }
export const DESTINATION_OPTIONS = { kind: 60, body: [0, 1, 1, 12, ...new Array<number>(12).fill(0)] }
export const ROUTED_ALREADY = { kind: 43, body: [0, 2, 4, 0, ...new Array<number>(20).fill(7)] }
export const ATOMIC_FRAGMENT = { kind: 44, body: [0, 255, 0, 6, 1, 2, 3, 4] }
export const AUTHENTICATION = { kind: 51, body: [0, 4, ...new Array<number>(22).fill(9)] }
export const MOBILITY = { kind: 135, body: [0, 0, 5, 0, 0, 0, 0, 0] }
export const HOST_IDENTITY = { kind: 139, body: [0, 0, 5, 0, 0, 0, 0, 0] }
export const SHIM6 = { kind: 140, body: [0, 0, 5, 0, 0, 0, 0, 0] }
export const ALL_EXTENSIONS: Extension[] = [
  ...[HOP_BY_HOP, DESTINATION_OPTIONS, ROUTED_ALREADY, ATOMIC_FRAGMENT],
  ...[AUTHENTICATION, MOBILITY, HOST_IDENTITY, SHIM6],
]

/** VECTORS has valid packets, and the number of their bytes that are headers. */
export const VECTORS: readonly { name: string; bytes: Uint8Array; headers: number }[] = [
  { name: 'IPv4 TCP', bytes: ipv4({}, tcp()), headers: 40 },
  {
    name: 'IPv4 TCP with options',
    bytes: ipv4({ options: [1, 7, 3, 4] }, tcp({ options: [2, 4, 5, 180, 1], payload: PAYLOAD })),
    headers: 52,
  },
  { name: 'IPv4 UDP', bytes: ipv4({ protocol: IPPROTO_UDP }, udp({ payload: PAYLOAD })), headers: 28 },
  { name: 'IPv4 ICMP', bytes: ipv4({ protocol: IPPROTO_ICMP }, icmp(8, 0, PAYLOAD)), headers: 28 },
  { name: 'IPv4 SCTP', bytes: ipv4({ protocol: 132 }, PAYLOAD), headers: 20 },
  { name: 'IPv6 TCP', bytes: ipv6({}, tcp({ payload: PAYLOAD })), headers: 60 },
  { name: 'IPv6 UDP', bytes: ipv6({ protocol: IPPROTO_UDP }, udp({ payload: PAYLOAD })), headers: 48 },
  { name: 'IPv6 ICMPv6', bytes: ipv6({ protocol: IPPROTO_ICMPV6 }, icmp(128, 0, PAYLOAD)), headers: 48 },
  { name: 'IPv6 chain', bytes: ipv6({ extensions: ALL_EXTENSIONS }, tcp()), headers: 40 + 104 + 20 },
]

/** Decodes a whole packet. Returns the result together with the packet. */
export function read(bytes: Uint8Array, fullLength = bytes.length) {
  const packet = new Packet()
  const malformed = decode(bytes, 0, bytes.length, fullLength, packet)
  return { malformed, packet }
}

/** Returns a copy with some bytes changed: index and value in turn. */
export function patched(bytes: Uint8Array, ...changes: number[]): Uint8Array {
  const copy = bytes.slice()
  for (let i = 0; i < changes.length; i += 2) copy[changes[i]!] = changes[i + 1]!
  return copy
}
