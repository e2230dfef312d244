/**
 * Decides which names may be asked for when names are enforced: a query can carry data out as well as a
 * connection can.
 */

import { hasNoChecksum } from '../packet/checksum.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../packet/ip.js'
import { type Packet, TCPHDR_URG } from '../packet/packet.js'
import { isResponse, type Question, readQueries, readQuery } from './question.js'

/** The names that may be asked for. */
export interface QueryPolicy {
  /** Whether a name may be asked for: a name of a rule, or one that those lead to. */
  readonly isAllowed: (name: string) => boolean
  /** Whether the names of addresses (in-addr.arpa, ip6.arpa) may be asked for. */
  readonly reverse: boolean
  /** Domains that the host's own resolver appends to a name. */
  readonly search: readonly string[]
}

/**
 * The names of addresses (RFC 1035, section 3.5; RFC 3596, section 2.5). Numbers only: a label could carry
 * data out.
 */
const REVERSE = /^(?:(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){1,4}in-addr|(?:[\da-f]\.){1,32}ip6)\.arpa$/

/** Returns the queries in a packet to a resolver; undefined when it carries anything else. */
export function questionsOf(packet: Packet): readonly Question[] | undefined {
  const { bytes, payloadOffset, payloadEnd } = packet
  if (packet.protocol === IPPROTO_TCP) return readQueries(bytes, payloadOffset, payloadEnd)
  const question = readQuery(bytes, payloadOffset, payloadEnd)
  return question && [question]
}

/**
 * Whether a packet to a resolver is an answer of a name server on this host: no resolver takes an answer for
 * a query.
 */
export function answersResolver(packet: Packet): boolean {
  const { bytes, payloadOffset, payloadEnd, protocol, isWhole, hasOptions } = packet
  return isWhole && !hasOptions && protocol === IPPROTO_UDP && isResponse(bytes, payloadOffset, payloadEnd)
}

/**
 * The name that the service itself asks for, to prove that queries are judged. It does not exist (RFC 6761,
 * section 6.4).
 */
export const NAMES_CANARY = 'canary.checkvalve.invalid'

/** Whether a packet to a resolver asks for the canary's name, and for no other. */
export function isNamesCanary(packet: Packet): boolean {
  const questions = questionsOf(packet) ?? []
  return questions.length > 0 && questions.every(({ name }) => name === NAMES_CANARY)
}

/** Whether a packet to a resolver holds only queries for names that may be asked for. */
export function mayAsk(packet: Packet, queryPolicy: QueryPolicy): boolean {
  // A packet that the kernel will still cut may become several messages. A receiver does not read urgent bytes in
  // their place (tcp(7)): without them the same bytes are other messages. And no resolver library sends without a
  // checksum, by which the receiver drops what was changed on the way, or with options of IP, which hold any bytes.
  if (!packet.isWhole || packet.hasOptions || (packet.tcpFlags & TCPHDR_URG) !== 0 || hasNoChecksum(packet))
    return false
  return questionsOf(packet)?.every(({ name }) => isNameAllowed(name, queryPolicy)) ?? false
}

/** Returns the first name of a blocked packet that may not be asked for, or its first one when the names are not why. */
export function refusedName(packet: Packet, queryPolicy: QueryPolicy | undefined): string | undefined {
  const names = questionsOf(packet)?.map(({ name }) => name)
  return names?.find((name) => queryPolicy && !isNameAllowed(name, queryPolicy)) ?? names?.[0]
}

function isNameAllowed(name: string, { isAllowed, reverse, search }: QueryPolicy): boolean {
  if (isAllowed(name) || (reverse && REVERSE.test(name))) return true
  return search.some((domain) => name.endsWith(`.${domain}`) && isAllowed(name.slice(0, -domain.length - 1)))
}
