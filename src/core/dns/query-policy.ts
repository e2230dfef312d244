/** Which names may be asked for, where names are enforced: a question carries data out as well as a connection does. */

import { IPPROTO_TCP, IPPROTO_UDP } from '../packet/ip.js'
import { type Packet, TCPHDR_URG } from '../packet/packet.js'
import { isResponse, type Question, readQueries, readQuery } from './question.js'

export interface QueryPolicy {
  /** In a policy: the names of its rules, and what those lead to. */
  readonly isAllowed: (name: string) => boolean
  /** Whether names of addresses (in-addr.arpa, ip6.arpa) may be asked for. */
  readonly reverse: boolean
  /** Domains that the host's own resolver appends to a name. */
  readonly search: readonly string[]
}

/** RFC 1035, section 3.5; RFC 3596, section 2.5: numbers only, or any word could stand before them. */
const REVERSE = /^(?:(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){1,4}in-addr|(?:[\da-f]\.){1,32}ip6)\.arpa$/

/** The questions to a resolver that a packet carries; undefined where it carries something else. */
export function questionsOf(packet: Packet): readonly Question[] | undefined {
  const { bytes, payloadOffset, payloadEnd } = packet
  if (packet.protocol === IPPROTO_TCP) return readQueries(bytes, payloadOffset, payloadEnd)
  const question = readQuery(bytes, payloadOffset, payloadEnd)
  return question && [question]
}

/** Whether a packet to a resolver is an answer of a name server on this host: nobody takes such a one for a question. */
export function answersResolver({ bytes, payloadOffset, payloadEnd, protocol, single }: Packet): boolean {
  return single && protocol === IPPROTO_UDP && isResponse(bytes, payloadOffset, payloadEnd)
}

/** The service itself asks for it, to show that questions are judged (RFC 6761, section 6.4: there is no such name). */
export const NAMES_CANARY = 'canary.checkvalve.invalid'

export const isNamesCanary = (packet: Packet): boolean =>
  questionsOf(packet)?.some(({ name }) => name === NAMES_CANARY) ?? false

/** Whether all that a packet to a resolver asks may be asked. */
export function mayAsk(packet: Packet, queryPolicy: QueryPolicy): boolean {
  // What the kernel would still cut into pieces may be several messages in one. And a program does not read urgent
  // bytes where they stand (tcp(7)): without them the same bytes are other messages.
  if (!packet.single || (packet.tcpFlags & TCPHDR_URG) !== 0) return false
  return questionsOf(packet)?.every(({ name }) => isNameAllowed(name, queryPolicy)) ?? false
}

function isNameAllowed(name: string, { isAllowed, reverse, search }: QueryPolicy): boolean {
  if (isAllowed(name) || (reverse && REVERSE.test(name))) return true
  return search.some((domain) => name.endsWith(`.${domain}`) && isAllowed(name.slice(0, -domain.length - 1)))
}
