/** Whether a packet answers a client: for what the kernel's connection tracking does not know, or not any more. */

import { type Family, IPPROTO_TCP, IPPROTO_UDP, type SocketLookUp, type Words } from '../packet/ip.js'
import { type Packet, TCPHDR_ACK, TCPHDR_SYN } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import type { Callbacks } from './callbacks.js'
import type { Services } from './services.js'
import type { SessionProtocol, SessionTable } from './session-table.js'

/** What the host knows of its clients. */
export interface Inbound {
  readonly sessions: Pick<SessionTable, 'silence' | 'seen' | 'remove'>
  /** TCP connections that this host itself has opened: whatever their socket looks like, nobody there is a client. */
  readonly opened: Pick<SessionTable, 'silence' | 'seen' | 'size'>
  readonly services: Services
  readonly callbacks: Pick<Callbacks, 'allow' | 'seen'>
  readonly lookUp: SocketLookUp
  /** Whether a TCP port that is no service yet has become one. */
  readonly listens: (family: Family, local: Words, localPort: number, device: number) => boolean
  /** Whole seconds of a monotonic clock, kept current by the owner. */
  now: number
}

/** For so many seconds a TCP session is believed without asking the kernel again. */
const BELIEVED_S = 60

/**
 * What a packet is to a client:
 * - `answer`: it goes to one who came in
 * - `handshake`: the kernel's first word to one who may be coming in
 * - `nothing`
 */
export type Answer = 'answer' | 'handshake' | 'nothing'

/** The first rule of all: the packet comes from a port that serves clients, and goes to one who came in. */
export function answersClient(packet: Packet, sender: Sender, inbound: Inbound): Answer {
  const { protocol, sourcePort } = packet
  if (protocol === IPPROTO_TCP) return answersTcp(packet, sender, inbound)
  if (protocol !== IPPROTO_UDP || inbound.services.udp[sourcePort] !== 1) return 'nothing'
  return silenceOf(packet, IPPROTO_UDP, inbound.sessions, inbound.now) < Number.POSITIVE_INFINITY
    ? 'answer'
    : 'nothing'
}

/**
 * Never a bare SYN: that starts a connection, whatever port it comes from. A SYN with ACK that no user has sent is the
 * kernel's own word to a client that has no socket yet (under a flood of SYNs it keeps none), and nobody has proved to be
 * there; a program that forges one has a user.
 */
function answersTcp(packet: Packet, sender: Sender, inbound: Inbound): Answer {
  const handshake = packet.tcpFlags & (TCPHDR_SYN | TCPHDR_ACK)
  if (handshake === TCPHDR_SYN || !isService(packet, sender, inbound) || isOpened(packet, inbound))
    return 'nothing'
  if (handshake === (TCPHDR_SYN | TCPHDR_ACK) && sender.uid === -1) return 'handshake'
  const silence = silenceOf(packet, IPPROTO_TCP, inbound.sessions, inbound.now)
  return silence < BELIEVED_S || witnessed(packet, sender, inbound, silence) ? 'answer' : 'nothing'
}

function isService(packet: Packet, sender: Sender, { services, listens }: Inbound): boolean {
  const { family, source, sourcePort } = packet
  return services.tcp[sourcePort] === 1 || listens(family, source, sourcePort, sender.device)
}

/** The socket is the better witness: the table remembers clients that may have left. */
function witnessed(packet: Packet, sender: Sender, inbound: Inbound, silence: number): boolean {
  const { family, source, sourcePort, destination, destinationPort } = packet
  const { sessions, callbacks, now } = inbound
  const state = inbound.lookUp(family, source, sourcePort, destination, destinationPort, sender.device)
  if (state === 'unknown') return silence < Number.POSITIVE_INFINITY
  if (state !== 'none') {
    sessions.seen(family, IPPROTO_TCP, source, sourcePort, destination, destinationPort, now, 'socket')
    callbacks.seen(family, IPPROTO_TCP, source, sourcePort, destination, destinationPort, now)
  } else sessions.remove(family, IPPROTO_TCP, source, sourcePort, destination, destinationPort)
  return state !== 'none'
}

/**
 * The same, for a question about a packet that is not there: it is answered, and nothing changes by it.
 * @param callbacks those of `inbound`
 */
export const onlyLooking = (inbound: Inbound, callbacks: Pick<Callbacks, 'wouldAllow'>): Inbound => ({
  ...inbound,
  sessions: { silence: (...ends) => inbound.sessions.silence(...ends), seen: () => {}, remove: () => false },
  callbacks: { allow: (...call) => callbacks.wouldAllow(...call), seen: () => {} },
})

/** Seconds since a table has seen the session that a packet belongs to; Infinity where it knows none. */
function silenceOf(
  packet: Packet,
  protocol: SessionProtocol,
  table: Pick<SessionTable, 'silence'>,
  now: number,
): number {
  const { family, source, sourcePort, destination, destinationPort } = packet
  return table.silence(family, protocol, source, sourcePort, destination, destinationPort, now)
}

/**
 * A packet goes out. If it calls, what follows from there is no answer to a client, whatever the socket shows later: its port
 * may serve clients by then, and its figures can be made wrong (what this host drops on its own way out counts as sent).
 */
export function noteCall(packet: Packet, { opened }: Inbound): void {
  const { family, protocol, source, sourcePort, destination, destinationPort } = packet
  const isCall = protocol === IPPROTO_TCP && (packet.tcpFlags & (TCPHDR_SYN | TCPHDR_ACK)) === TCPHDR_SYN
  if (!isCall) return
  opened.seen(family, IPPROTO_TCP, source, sourcePort, destination, destinationPort, 0)
}

function isOpened(packet: Packet, { opened, now }: Inbound): boolean {
  return opened.size > 0 && silenceOf(packet, IPPROTO_TCP, opened, now) < Number.POSITIVE_INFINITY
}
