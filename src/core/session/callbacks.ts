/**
 * Connections that this host may open back to a client of one of its services: the data connection of active FTP, an
 * ident query. Only the operator can name such a service.
 */

import type { SocketLookUp } from '../packet/ip.js'
import { type Family, fitsPorts, IPPROTO_TCP, IPPROTO_UDP, type PortRange, type Words } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import type { Sender } from '../packet/sender.js'
import type { SessionProtocol } from './session-table.js'

export interface CallbackSpec {
  readonly service: { readonly protocol: 'tcp' | 'udp'; readonly port: number }
  readonly protocol: 'tcp' | 'udp'
  /** Destination ports. */
  readonly ports: readonly PortRange[]
  /** Connections that one session may cause, ever. */
  readonly perSession: number
}

/** A session on a service that has callbacks. */
interface Session {
  readonly protocol: SessionProtocol
  readonly local: Words
  readonly localPort: number
  readonly remotePort: number
  seen: number
  used: number
}

/** Sessions remembered for one client, and for all; the oldest make room. */
const SESSIONS_A_CLIENT = 64
const SESSIONS = 16_384
/** Sessions asked after for one packet, so that no packet costs much. */
const ASKED_AT_MOST = 8

const protocolNumber = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP } as const

export class Callbacks {
  readonly #specs: readonly CallbackSpec[]
  readonly #udpTimeout: number
  /** By address, in the order of their last sessions. */
  readonly #clients = new Map<string, Session[]>()
  #sessions = 0

  /** @param udpTimeout seconds after which a silent UDP session is over */
  constructor(specs: readonly CallbackSpec[], udpTimeout: number) {
    this.#specs = specs
    this.#udpTimeout = udpTimeout
  }

  /** Notes a packet of a client's session; sessions of other services are passed over. */
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
    const known = sessions.find((one) => isSame(one, protocol, local, localPort, remotePort))
    this.#clients.delete(key)
    this.#clients.set(key, sessions)
    if (known) known.seen = now
    else this.#add(sessions, { protocol, local: local.slice(), localPort, remotePort, seen: now, used: 0 })
  }

  /** Anyone who can forge datagrams makes sessions of a UDP service: they are bounded all together. */
  #add(sessions: Session[], session: Session): void {
    sessions.push(session)
    this.#sessions++
    if (sessions.length > SESSIONS_A_CLIENT) this.#remove(sessions, 0)
    if (this.#sessions <= SESSIONS) return
    const [oldest, theirs] = this.#clients.entries().next().value!
    this.#remove(theirs, 0)
    if (theirs.length === 0) this.#clients.delete(oldest)
  }

  readonly #remove = (sessions: Session[], index: number): void => {
    sessions.splice(index, 1)
    this.#sessions--
  }

  /**
   * Whether the packet may open a connection to a client, because of a session that it has now. Says yes at most as
   * often as the operator allows for that session: the kernel remembers the connection from then on.
   */
  allow(packet: Packet, sender: Pick<Sender, 'device'>, lookUp: SocketLookUp, now: number): boolean {
    const session = this.#living(packet, sender, lookUp, now, this.#remove)
    if (session === undefined) return false
    session.used++
    return true
  }

  /** Whether `allow` would say yes; nothing is used up. */
  wouldAllow(packet: Packet, sender: Pick<Sender, 'device'>, lookUp: SocketLookUp, now: number): boolean {
    return this.#living(packet, sender, lookUp, now, () => {}) !== undefined
  }

  /** A session that lives, and for which the packet may be sent. */
  #living(
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
    for (let i = (sessions?.length ?? 0) - 1, asked = 0; i >= 0 && asked < ASKED_AT_MOST; i--) {
      const session = sessions![i]!
      if (!specs.some((spec) => isOn(session, spec) && session.used < spec.perSession)) continue
      asked++
      if (this.#lives(session, packet, sender.device, lookUp, now)) return session
      onDead(sessions!, i)
    }
    return undefined
  }

  #lives(
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
  one: Session,
  protocol: SessionProtocol,
  local: Words,
  localPort: number,
  remotePort: number,
): boolean {
  return (
    one.remotePort === remotePort &&
    one.localPort === localPort &&
    one.protocol === protocol &&
    one.local.every((word, i) => word === local[i])
  )
}

const isOn = ({ protocol, localPort }: Pick<Session, 'protocol' | 'localPort'>, { service }: CallbackSpec) =>
  localPort === service.port && protocol === protocolNumber[service.protocol]

const fits = (spec: CallbackSpec, { protocol, destinationPort }: Packet) =>
  protocol === protocolNumber[spec.protocol] && fitsPorts(spec.ports, destinationPort)
