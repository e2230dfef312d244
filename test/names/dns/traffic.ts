/** Makes packets between this host and a resolver, for tests. */

import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { decode, Packet, TCPHDR_ACK } from '../../../src/core/packet/packet.js'
import { ipv4, ipv6, tcp, udp } from '../../core/packets.js'

export const RESOLVER = '198.51.100.53'
export const RESOLVER6 = '2001:db8::53'
const HOST = '192.0.2.1'
const HOST6 = '2001:db8::1'

export interface Way {
  readonly protocol?: 'udp' | 'tcp'
  readonly resolver?: string
  /** This host's own address; a host may have several. */
  readonly host?: string
  /** This host's own port. */
  readonly port?: number
  /** The TCP sequence numbers of this end and of the other end. */
  readonly sequence?: number
  readonly acknowledged?: number
  readonly flags?: number
}

/** Builds a packet to a resolver. */
export function toResolver(payload: Uint8Array, way: Way = {}): Uint8Array {
  const { resolver = RESOLVER, host = hostOf(resolver), port = 40_000 } = way
  return around(payload, way, { source: host, destination: resolver }, [port, 53])
}

/** Builds a packet from a resolver. */
export function fromResolver(payload: Uint8Array, way: Way = {}): Uint8Array {
  const { resolver = RESOLVER, host = hostOf(resolver), port = 40_000 } = way
  return around(payload, way, { source: resolver, destination: host }, [53, port])
}

/** Decodes a packet. @throws Error when it is malformed: the test is wrong then */
export function packetOf(bytes: Uint8Array): Packet {
  const packet = new Packet()
  const problem = decode(bytes, 0, bytes.length, bytes.length, packet)
  if (problem !== undefined) throw new Error(problem)
  return packet
}

const hostOf = (resolver: string) => (resolver.includes(':') ? HOST6 : HOST)

function around(
  payload: Uint8Array,
  { protocol = 'udp', sequence = 0, acknowledged = 0, flags = TCPHDR_ACK }: Way,
  addresses: { readonly source: string; readonly destination: string },
  [sourcePort, destinationPort]: readonly [number, number],
): Uint8Array {
  const ip = addresses.source.includes(':') ? ipv6 : ipv4
  const ports = { sourcePort, destinationPort }
  if (protocol === 'udp') return ip({ ...addresses, protocol: IPPROTO_UDP }, udp({ ...ports, payload }))
  const segment = Buffer.from(tcp({ ...ports, flags, payload }))
  segment.writeUInt32BE(sequence >>> 0, 4)
  segment.writeUInt32BE(acknowledged >>> 0, 8)
  return ip({ ...addresses, protocol: IPPROTO_TCP }, segment)
}
