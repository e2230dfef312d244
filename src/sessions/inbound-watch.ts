import type { Config } from '../config/config.js'
import { areFound } from '../config/types.js'
import {
  type Connection,
  type Family,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type SocketState,
  type Words,
} from '../core/packet/ip.js'
import { PrefixSet } from '../core/packet/prefix-set.js'
import type { Marks } from '../core/ruleset/marks.js'
import type { SocketFacts } from '../core/ruleset/ruleset.js'
import { Callbacks } from '../core/session/callbacks.js'
import { type Inbound, readOnly } from '../core/session/client-replies.js'
import { noServices, type Services } from '../core/session/services.js'
import { SessionTable } from '../core/session/session-table.js'
import { Conntrack, type ConntrackEvents } from '../kernel/conntrack/conntrack.js'
import {
  type Flow,
  IPS_SEEN_REPLY,
  TCP_CONNTRACK_ESTABLISHED,
  TCP_CONNTRACK_LAST_ACK,
} from '../kernel/conntrack/wire.js'
import { localAddresses, setOfAddresses } from '../kernel/proc/local-addresses.js'
import { readEphemeralPorts, unprivilegedPortStart } from '../kernel/proc/port-ranges.js'
import { Sockets } from '../kernel/sockets/sockets.js'
import { FormerAddresses } from './former-addresses.js'
import { OpenedConnections } from './opened-connections.js'
import { RootServices } from './root-services.js'
import { KernelPorts, setServices } from './service-ports.js'
import { TurnedAround } from './turned-around.js'

/** Sessions that expire in one tick, so that no tick is long; the others wait for the next one. */
const EXPIRED_AT_ONCE = 10_000
/**
 * Seconds after which UDP clients are read again: the kernel sends no events for clients from before the
 * subscription.
 */
const UDP_READ_S = 60

/** Figures for metrics and status. */
export interface InboundStatistics {
  readonly sessions: Pick<SessionTable, 'sizeOf' | 'evicted'>
  /**
   * Times that events of connection tracking were lost, and dumps of all connections that were made because
   * of it.
   */
  readonly overruns: number
  readonly resyncs: number
  /** Look-ups of single connections in the kernel, by result. */
  readonly lookups: Readonly<Record<SocketState, number>>
  /** Connections that this host opened before the policy was in force. */
  readonly opened: number
}

/** The state for the packet path, with the full interfaces to keep it current. */
interface WatchedInbound extends Inbound {
  readonly sessions: SessionTable
  readonly callbacks: Callbacks
}

/**
 * Keeps the state of this host's clients current: sessions, service ports, and connections that this host
 * opened.
 */
export class InboundWatch {
  readonly inbound: WatchedInbound
  readonly #sockets = new Sockets()
  readonly #config: Config['sessions']
  readonly #conntrack: Conntrack
  readonly #opened: OpenedConnections
  readonly #firstUnprivileged = unprivilegedPortStart()
  readonly #kernelPorts = new KernelPorts(readEphemeralPorts().first)
  #listening: ReadonlySet<number> = new Set()
  #local = PrefixSet.empty
  #localText = ''
  readonly #former = new FormerAddresses()
  readonly #rootServices = new RootServices()
  readonly turnedAround = new TurnedAround(this.#sockets, this.#rootServices)
  #nextUdpRead = 0

  /** @throws NetlinkError when the kernel has no connection tracking events */
  constructor(config: Config['sessions']) {
    const { capacity, tcpTimeout, udpTimeout } = config
    const seed = crypto.getRandomValues(new Uint32Array(2))
    this.#config = config
    const sessions = new SessionTable({ capacity, tcpTimeout, udpTimeout, seed })
    const services = noServices()
    this.#opened = new OpenedConnections(seed)
    this.inbound = {
      sessions,
      services,
      opened: this.#opened.table,
      callbacks: new Callbacks(config.callbacks, udpTimeout),
      lookUp: this.#sockets.lookUp,
      listens: (...port) => this.#listens(...port),
      now: monotonicSeconds(),
    }
    this.#readLocal()
    this.#conntrack = new Conntrack((flow) => this.#onFlow(flow))
  }

  /** Returns figures for metrics and status. */
  statistics(): InboundStatistics {
    const { sessions } = this.inbound
    const { resyncs, overruns } = this.#conntrack.stats
    return {
      sessions,
      resyncs,
      overruns,
      lookups: this.#sockets.lookups,
      opened: this.#opened.connections.length,
    }
  }

  /**
   * Reads services, clients and opened connections, and subscribes to their events.
   * @throws NetlinkError (rejects)
   */
  async start(): Promise<void> {
    await this.refreshServices()
    this.#conntrack.subscribe(this.#events())
    await this.#conntrack.dump()
    await this.findOpened()
  }

  /** Finds the open TCP connections that this host opened. @throws NetlinkError (rejects) */
  async findOpened(): Promise<void> {
    const connections = await this.#connections()
    this.#opened.find(connections, this.#listening)
    for (const connection of connections)
      if (connection.initiator !== 'this-host') this.#noteForCallbacks(connection)
  }

  /** Lists the TCP connections to other hosts. */
  #connections(): ReturnType<Sockets['connections']> {
    return this.#sockets.connections((family, words) => this.#local.has(family, words))
  }

  /** Notes a client for its callbacks: connection tracking may have forgotten the session. */
  #noteForCallbacks({ family, local, localPort, remote, remotePort }: Connection): void {
    const { callbacks, services, now } = this.inbound
    if (services.tcp[localPort] === 1)
      callbacks.seen(family, IPPROTO_TCP, local, localPort, remote, remotePort, now)
  }

  /** The ports of root's services: always the same object, which is kept current. */
  get rootServices(): Services {
    return this.#rootServices.flags
  }

  /** Reads the service ports. @throws NetlinkError (rejects) */
  async refreshServices(): Promise<void> {
    // A declared service needs no socket to be found.
    const lastUdp = areFound(this.#config.services) ? this.#firstUnprivileged - 1 : -1
    const open = await this.#sockets.listening(lastUdp)
    this.#listening = open.tcp
    setServices(this.inbound.services, this.#config.services, open, this.#firstUnprivileged)
    this.#rootServices.update(open.rootTcp, open.rootSockets, this.inbound.services)
  }

  /**
   * Whether a port listens. It becomes a service port at once, before the services are read the next time.
   */
  #listens(family: Family, local: Words, localPort: number, device: number): boolean {
    if (!areFound(this.#config.services) || !this.#sockets.listens(family, local, localPort, device))
      return false
    this.inbound.services.tcp[localPort] = 1
    return true
  }

  /**
   * Returns a read-only view, to explain the verdict of a packet that does not exist: nothing changes,
   * nothing is counted.
   */
  readOnly(): Inbound {
    const { services } = this.#config
    const lookUp = this.#sockets.look
    const listens: Inbound['listens'] = (...port) => areFound(services) && this.#sockets.listens(...port)
    return readOnly({ ...this.inbound, lookUp, listens }, this.inbound.callbacks)
  }

  /** Returns service ports and opened connections for the kernel's rules. */
  facts(): SocketFacts {
    const { services } = this.inbound
    return {
      services: this.#kernelPorts.of(services, this.#config.services),
      rootServices: this.#rootServices.ports,
      opened: this.#opened.connections,
      former: this.#former.list(this.inbound.now),
    }
  }

  /**
   * Removes the connections over loopback from connection tracking, after they were untracked for a while:
   * their entries are out of date, and the kernel would take their packets for invalid. @throws NetlinkError
   * (rejects)
   */
  forgetLoopback(): Promise<void> {
    return this.#conntrack.forget(
      ({ family, source, destination }) =>
        this.#local.has(family, source) && this.#local.has(family, destination),
    )
  }

  /**
   * Makes connections with an old mark be judged again, before the number of their generation is used once
   * more.
   * @param marks the marks of the next generation @throws NetlinkError (rejects)
   */
  expireGeneration({ mask, approvedNow, approvedOnce }: Marks): Promise<void> {
    return this.#conntrack.replaceMark({ mask, value: approvedNow }, { mask, value: approvedOnce })
  }

  /**
   * Does the work of each second. A new local address means that flows were misjudged: then all are read
   * again.
   */
  async tick(): Promise<void> {
    const now = monotonicSeconds()
    this.inbound.now = now
    this.inbound.sessions.expire(now, EXPIRED_AT_ONCE)
    await this.refreshServices()
    if (this.#opened.isCrowded) this.#opened.keepOpen(await this.#connections())
    if (this.#readLocal()) await this.#conntrack.dump()
    const isNew = this.#conntrack.subscribe(this.#events())
    if (!isNew && now < this.#nextUdpRead) return
    this.#nextUdpRead = now + Math.min(UDP_READ_S, this.#config.udpTimeout / 3)
    if (this.#hasUdpServices()) await this.#conntrack.dump(IPPROTO_UDP)
  }

  /**
   * Returns the events that are needed. UDP clients that the kernel forgets are known by events only; TCP
   * clients have sockets that can be looked up. Clients with callbacks must be known as long as they are
   * connected.
   */
  #events(): ConntrackEvents {
    if (this.#config.callbacks.length > 0) return 'all'
    return this.#hasUdpServices() ? 'forgotten' : 'nothing'
  }

  #hasUdpServices(): boolean {
    return this.inbound.services.udp.includes(1)
  }

  close(): void {
    this.#conntrack.close()
    this.#sockets.close()
  }

  /** Reads the addresses of this host. @returns whether they have changed */
  #readLocal(): boolean {
    const addresses = localAddresses()
    const text = addresses.join()
    if (text === this.#localText) return false
    this.#localText = text
    this.#former.update(addresses, monotonicSeconds())
    this.#local = setOfAddresses(addresses)
    return true
  }

  /** Notes a flow of a client: a reply from an address of this host to an address of another one. */
  #onFlow(flow: Flow): void {
    const { family, protocol, source, sourcePort, destination, destinationPort } = flow
    if (protocol === IPPROTO_UDP && this.#isOpenedHere(flow)) this.#onLateAnswer(flow)
    if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return
    if (protocol === IPPROTO_TCP && !isOpen(flow)) return
    if (!this.#local.has(family, source) || this.#local.has(family, destination)) return
    const { sessions, services, callbacks, now } = this.inbound
    callbacks.seen(family, protocol, source, sourcePort, destination, destinationPort, now)
    // Sessions on other ports are never looked up, and could fill the table.
    if (services[protocol === IPPROTO_TCP ? 'tcp' : 'udp'][sourcePort] === 1)
      sessions.seen(family, protocol, source, sourcePort, destination, destinationPort, now)
  }

  /**
   * Notes a client whose flow looks opened by this host, since a late answer began it; the client has sent
   * packets since.
   */
  #onLateAnswer({ family, source, sourcePort, destination, destinationPort, status }: Flow): void {
    const { sessions, services, now } = this.inbound
    if ((status & IPS_SEEN_REPLY) === 0 || services.udp[destinationPort] !== 1) return
    const client = [family, IPPROTO_UDP, destination, destinationPort, source, sourcePort, now] as const
    if (sessions.silence(...client) < Number.POSITIVE_INFINITY) sessions.seen(...client)
  }

  /** Whether this host opened the flow. */
  #isOpenedHere({ family, source, destination }: Flow): boolean {
    return this.#local.has(family, destination) && !this.#local.has(family, source)
  }
}

/** Whether the handshake is done and the connection is not closed yet. */
function isOpen({ tcpState }: Flow): boolean {
  return tcpState >= TCP_CONNTRACK_ESTABLISHED && tcpState <= TCP_CONNTRACK_LAST_ACK
}

const monotonicSeconds = () => Math.floor(performance.now() / 1000)
