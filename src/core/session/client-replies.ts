/**
 * Decides whether a packet is a reply to a client, for connections that the kernel's connection tracking does
 * not know.
 */

import { type Family, IPPROTO_TCP, IPPROTO_UDP, type SocketLookUp, type Words } from '../packet/ip.js'
import { type Packet, TCPHDR_ACK, TCPHDR_SYN } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import type { Callbacks } from './callbacks.js'
import type { Services } from './services.js'
import type { SessionProtocol, SessionTable } from './session-table.js'

/** What the host knows about its clients. */
export interface Inbound {
  readonly sessions: Pick<SessionTable, 'silence' | 'seen' | 'remove'>
  /**
   * TCP connections that this host opened. Their other end is no client, whatever the state of the socket.
   */
  readonly opened: Pick<SessionTable, 'silence' | 'seen' | 'size'>
  readonly services: Services
  readonly callbacks: Pick<Callbacks, 'allow' | 'seen' | 'mayAllow'>
  readonly lookUp: SocketLookUp
  /** Whether a TCP port that was not a service port has become one. */
  readonly listens: (family: Family, local: Words, localPort: number, device: number) => boolean
  /** Whole seconds of a monotonic clock, kept current by the owner. */
  now: number
}

/** A TCP session that was seen within this many seconds is believed without asking the kernel again. */
const BELIEVED_S = 60

/**
 * What a packet is to a client:
 * - `reply`: a packet of the client's session
 * - `handshake`: the kernel's SYN with ACK to a host that may become a client
 * - `none`: no reply to a client
 */
export type ReplyKind = 'reply' | 'handshake' | 'none'

/** Decides whether a packet comes from a service port and goes to a client with a session. */
export function replyKindOf(packet: Packet, sender: Sender, inbound: Inbound): ReplyKind {
  const { protocol, sourcePort } = packet
  if (protocol === IPPROTO_TCP) return tcpReplyKindOf(packet, sender, inbound)
  if (protocol !== IPPROTO_UDP || inbound.services.udp[sourcePort] !== 1) return 'none'
  return silenceOf(packet, IPPROTO_UDP, inbound.sessions, inbound.now) < Number.POSITIVE_INFINITY
    ? 'reply'
    : 'none'
}

/**
 * A bare SYN is never a reply: it opens a connection, whatever port it comes from. A SYN with ACK and without
 * a user comes from the kernel itself, to a client without a socket (under a flood of SYNs the kernel keeps
 * none); the client has not proved yet that it is there. A program that forges such a packet has a user.
 */
function tcpReplyKindOf(packet: Packet, sender: Sender, inbound: Inbound): ReplyKind {
  const handshake = packet.tcpFlags & (TCPHDR_SYN | TCPHDR_ACK)
  if (handshake === TCPHDR_SYN || !isService(packet, sender, inbound) || isOpened(packet, inbound))
    return 'none'
  if (handshake === (TCPHDR_SYN | TCPHDR_ACK) && sender.uid === -1) return 'handshake'
  const silence = silenceOf(packet, IPPROTO_TCP, inbound.sessions, inbound.now)
  return silence < BELIEVED_S || isConnected(packet, sender, inbound, silence) ? 'reply' : 'none'
}

function isService(packet: Packet, sender: Sender, { services, listens }: Inbound): boolean {
  const { family, source, sourcePort } = packet
  return services.tcp[sourcePort] === 1 || listens(family, source, sourcePort, sender.device)
}

/**
 * Asks the kernel for the client's socket, which counts more than the table: the table remembers clients that
 * may have left.
 */
function isConnected(packet: Packet, sender: Sender, inbound: Inbound, silence: number): boolean {
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
 * Returns a read-only view of `inbound`, to explain the verdict of a packet that does not exist: nothing
 * changes by it.
 * @param callbacks those of `inbound`
 */
export const readOnly = (
  inbound: Inbound,
  callbacks: Pick<Callbacks, 'wouldAllow' | 'mayAllow'>,
): Inbound => ({
  ...inbound,
  sessions: { silence: (...ends) => inbound.sessions.silence(...ends), seen: () => {}, remove: () => false },
  callbacks: {
    allow: (...call) => callbacks.wouldAllow(...call),
    mayAllow: (packet) => callbacks.mayAllow(packet),
    seen: () => {},
  },
})

/**
 * Returns the seconds since the session of a packet was last seen; Infinity when the table has no such
 * session.
 */
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
 * Remembers that this host opens a connection, when an outgoing packet is a bare SYN. No later packet of the
 * connection is a reply to a client, whatever its socket shows: its port may be a service port by then, and a
 * user can falsify the counters of the socket (packets that this host drops on their way out count as sent).
 */
export function noteOpening(packet: Packet, { opened }: Inbound): void {
  const { family, protocol, source, sourcePort, destination, destinationPort } = packet
  const isBareSyn = protocol === IPPROTO_TCP && (packet.tcpFlags & (TCPHDR_SYN | TCPHDR_ACK)) === TCPHDR_SYN
  if (!isBareSyn) return
  opened.seen(family, IPPROTO_TCP, source, sourcePort, destination, destinationPort, 0)
}

/** Whether this host opened the connection of a TCP packet. */
export function isOpened(packet: Packet, { opened, now }: Pick<Inbound, 'opened' | 'now'>): boolean {
  return opened.size > 0 && silenceOf(packet, IPPROTO_TCP, opened, now) < Number.POSITIVE_INFINITY
}
