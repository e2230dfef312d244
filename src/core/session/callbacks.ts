/**
 * Allows connections that this host opens back to a client of one of its services: the data connection of
 * active FTP, an ident query. Only services that the operator names have callbacks.
 */

import type { SocketLookUp } from '../packet/ip.js'
import { type Family, fitsPorts, IPPROTO_TCP, IPPROTO_UDP, type PortRange, type Words } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import type { SessionProtocol } from './session-table.js'

/** A service with callbacks, as the operator configured it. */
export interface CallbackSpec {
  readonly service: { readonly protocol: 'tcp' | 'udp'; readonly port: number }
  readonly protocol: 'tcp' | 'udp'
  /** Destination ports of the callbacks. */
  readonly ports: readonly PortRange[]
  /** The maximum number of connections for one session. */
  readonly perSession: number
}

/** A session on a service that has callbacks. */
interface Session {
  readonly protocol: SessionProtocol
  readonly local: Words
  readonly localPort: number
  readonly remotePort: number
  /** Seconds of a monotonic clock at the last packet. */
  seen: number
  /** Callbacks that were allowed so far. */
  used: number
}

/** Sessions remembered for one client, and for all clients; the oldest are evicted. */
const MAX_CLIENT_SESSIONS = 64
const MAX_SESSIONS = 16_384
/** Sessions that are checked for one packet: each may take a query to the kernel. */
const MAX_CHECKED = 8

const protocolNumber = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP } as const

/** Remembers the sessions on services with callbacks, and decides which connections these allow. */
export class Callbacks {
  readonly #specs: readonly CallbackSpec[]
  readonly #udpTimeout: number
  /** The sessions by client address, the client that was seen longest ago first. */
  readonly #clients = new Map<string, Session[]>()
  #sessions = 0

  /** @param udpTimeout seconds after which a silent UDP session is over */
  constructor(specs: readonly CallbackSpec[], udpTimeout: number) {
    this.#specs = specs
    this.#udpTimeout = udpTimeout
  }

  /**
   * Notes a packet of a client's session. Sessions of services without callbacks are ignored.
   * @param now seconds
   */
  seen(
    family: Family,
    protocol: SessionProtocol,
    local: Words,
    localPort: number,
    remote: Words,
    remotePort: number,
    now: number,
  ): void {
    if (!this.#specs.some((spec) => isOn({ protocol, localPort }, spec))) return
    const key = keyOf(family, remote)
    const sessions = this.#clients.get(key) ?? []
    const known = sessions.find((each) => isSame(each, protocol, local, localPort, remotePort))
    this.#clients.delete(key)
    this.#clients.set(key, sessions)
    if (known) known.seen = now
    else this.#add(sessions, { protocol, local: local.slice(), localPort, remotePort, seen: now, used: 0 })
  }

  /**
   * Adds a session. Their number is bounded: an attacker who forges datagrams can make sessions of a UDP
   * service.
   */
  #add(sessions: Session[], session: Session): void {
    sessions.push(session)
    this.#sessions++
    if (sessions.length > MAX_CLIENT_SESSIONS) this.#remove(sessions, 0)
    if (this.#sessions <= MAX_SESSIONS) return
    const [oldest, oldestSessions] = this.#clients.entries().next().value!
    this.#remove(oldestSessions, 0)
    if (oldestSessions.length === 0) this.#clients.delete(oldest)
  }

  readonly #remove = (sessions: Session[], index: number): void => {
    sessions.splice(index, 1)
    this.#sessions--
  }

  /**
   * Whether the packet may open a connection to a client with a live session. Counts the connection: a
   * session allows only as many as the operator configured. The kernel remembers the connection from then on.
   * @param now seconds of a monotonic clock
   */
  allow(packet: Packet, sender: Pick<Sender, 'device'>, lookUp: SocketLookUp, now: number): boolean {
    const session = this.#liveSession(packet, sender, lookUp, now, this.#remove)
    if (session === undefined) return false
    session.used++
    return true
  }

  /** Whether there may ever be a session that allows the packet. */
  mayAllow(packet: Packet): boolean {
    for (let i = 0; i < this.#specs.length; i++) if (fits(this.#specs[i]!, packet)) return true
    return false
  }

  /** Whether `allow` would return true; nothing is counted. */
  wouldAllow(packet: Packet, sender: Pick<Sender, 'device'>, lookUp: SocketLookUp, now: number): boolean {
    return this.#liveSession(packet, sender, lookUp, now, () => {}) !== undefined
  }

  /**
   * Returns a live session that allows the packet; undefined when there is none.
   * @param onDead called for closed sessions
   */
  #liveSession(
    packet: Packet,
    sender: Pick<Sender, 'device'>,
    lookUp: SocketLookUp,
    now: number,
    onDead: (sessions: Session[], index: number) => void,
  ): Session | undefined {
    if (this.#clients.size === 0) return undefined
    const { family, destination } = packet
    const specs = this.#specs.filter((spec) => fits(spec, packet))
    const sessions = specs.length > 0 ? this.#clients.get(keyOf(family, destination)) : undefined
    for (let i = (sessions?.length ?? 0) - 1, checked = 0; i >= 0 && checked < MAX_CHECKED; i--) {
      const session = sessions![i]!
      if (!specs.some((spec) => isOn(session, spec) && session.used < spec.perSession)) continue
      checked++
      if (this.#isLive(session, packet, sender.device, lookUp, now)) return session
      onDead(sessions!, i)
    }
    return undefined
  }

  #isLive(
    session: Session,
    { family, destination }: Packet,
    device: number,
    lookUp: SocketLookUp,
    now: number,
  ): boolean {
    const { protocol, local, localPort, remotePort, seen } = session
    if (protocol === IPPROTO_UDP) return now - seen < this.#udpTimeout
    return lookUp(family, local, localPort, destination, remotePort, device) === 'established'
  }
}

const keyOf = (family: Family, words: Words) =>
  family === 4 ? `${words[0]}` : `${words[0]}:${words[1]}:${words[2]}:${words[3]}`

function isSame(
  session: Session,
  protocol: SessionProtocol,
  local: Words,
  localPort: number,
  remotePort: number,
): boolean {
  return (
    session.remotePort === remotePort &&
    session.localPort === localPort &&
    session.protocol === protocol &&
    session.local.every((word, i) => word === local[i])
  )
}

const isOn = ({ protocol, localPort }: Pick<Session, 'protocol' | 'localPort'>, { service }: CallbackSpec) =>
  localPort === service.port && protocol === protocolNumber[service.protocol]

const fits = (spec: CallbackSpec, { protocol, destinationPort }: Packet) =>
  protocol === protocolNumber[spec.protocol] && fitsPorts(spec.ports, destinationPort)
