/** The packet that a question is about, as it would reach the queue. */

import {
  type Address,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type Words,
} from '../../core/packet/ip.js'
import { ECHO_REQUEST, Packet, TCPHDR_ACK, TCPHDR_SYN } from '../../core/packet/packet.js'
import { encodePayload } from '../../names/dns/encode-query.js'
import type { Query } from './query.js'

const ICMP = { 4: IPPROTO_ICMP, 6: IPPROTO_ICMPV6 } as const

/** Where a packet comes from. */
export interface From {
  /** undefined: nobody knows; it is of no consequence but for sessions. */
  readonly address: Words | undefined
  readonly port: number
}

/** The first packet of what is asked about: a call, a datagram, an echo request; or the message with the question for a name. */
export function packetOf({ protocol, port, name }: Query, to: Address, from: From): Packet {
  const packet = new Packet()
  packet.family = to.family
  packet.destination.set(to.words)
  if (from.address !== undefined) packet.source.set(from.address)
  packet.single = true
  if (protocol === 'icmp') {
    packet.protocol = ICMP[to.family]
    packet.icmpType = ECHO_REQUEST[to.family]
    return packet
  }
  packet.protocol = protocol === 'tcp' ? IPPROTO_TCP : IPPROTO_UDP
  packet.sourcePort = from.port
  packet.destinationPort = port!
  if (protocol === 'tcp') packet.tcpFlags = name === undefined ? TCPHDR_SYN : TCPHDR_ACK
  if (name !== undefined) carry(packet, name)
  return packet
}

/** An answer to a client from the same two ends. */
export function answerOf(question: Query, to: Address, from: From): Packet {
  const packet = packetOf({ ...question, name: undefined }, to, from)
  if (question.protocol === 'tcp') packet.tcpFlags = TCPHDR_ACK
  return packet
}

function carry(packet: Packet, name: string): void {
  packet.bytes = encodePayload({ name }, packet.protocol)
  packet.payloadEnd = packet.bytes.length
}
