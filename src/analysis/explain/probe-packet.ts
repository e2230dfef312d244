/** Makes the packet that a query is about, as it would reach the queue. */

import { setPayload } from '../../core/packet/checksum.js'
import {
  type Address,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type Words,
} from '../../core/packet/ip.js'
import { ntpRequest } from '../../core/packet/ntp.js'
import { ECHO_REQUEST, Packet, TCPHDR_ACK, TCPHDR_SYN } from '../../core/packet/packet.js'
import { isTimePort } from '../../core/policy/allowlist.js'
import type { Policy } from '../../core/policy/policy.js'
import { encodePayload } from '../../names/dns/encode-query.js'
import type { Query } from './query.js'

const ICMP = { 4: IPPROTO_ICMP, 6: IPPROTO_ICMPV6 } as const

/** The source of a packet. */
export interface From {
  /** undefined: not known; it matters for sessions only. */
  readonly address: Words | undefined
  readonly port: number
}

/**
 * Makes the first packet of a connection: a SYN, a datagram, an echo request, or the message with a DNS
 * query. A datagram to a port of time servers is a request of NTP.
 */
export function packetOf(
  { protocol, port, name }: Query,
  to: Address,
  from: From,
  policy: Pick<Policy, 'rules'>,
): Packet {
  const packet = new Packet()
  packet.family = to.family
  packet.destination.set(to.words)
  if (from.address !== undefined) packet.source.set(from.address)
  packet.isWhole = true
  if (protocol === 'icmp') {
    packet.protocol = ICMP[to.family]
    packet.icmpType = ECHO_REQUEST[to.family]
    return packet
  }
  packet.protocol = protocol === 'tcp' ? IPPROTO_TCP : IPPROTO_UDP
  packet.sourcePort = from.port
  packet.destinationPort = port!
  if (protocol === 'tcp') packet.tcpFlags = name === undefined ? TCPHDR_SYN : TCPHDR_ACK
  if (name !== undefined) setPayload(packet, encodePayload({ name }, packet.protocol))
  else if (protocol === 'udp' && isTimePort(policy, port!)) setPayload(packet, ntpRequest())
  return packet
}

/** Makes an answer to a client, between the same two endpoints. */
export function answerOf(question: Query, to: Address, from: From): Packet {
  const packet = packetOf({ ...question, name: undefined }, to, from, { rules: [] })
  if (question.protocol === 'tcp') packet.tcpFlags = TCPHDR_ACK
  return packet
}
