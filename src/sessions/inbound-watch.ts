import type { Config } from '../config/config.js'
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
import { type Inbound, onlyLooking } from '../core/session/client-replies.js'
import { noServices } from '../core/session/services.js'
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
import { OpenedConnections } from './opened-connections.js'
import { KernelPorts, setServices } from './service-ports.js'

/** Sessions expired in one go: the rest waits for the next tick, so that no tick is long. */
const EXPIRED_AT_ONCE = 10_000
/** UDP clients are read anew at least that often: the kernel tells nothing of those that came before it was asked to. */
const UDP_READ_S = 60

export interface InboundStatistics {
  readonly sessions: Pick<SessionTable, 'sizeOf' | 'evicted'>
  /** Times that connection tracking had lost news, and lists of connections that were made because of it. */
  readonly overruns: number
  readonly resyncs: number
  /** Single connections that the kernel was asked for, by its answer. */
  readonly lookups: Readonly<Record<SocketState, number>>
  /** Connections that this host has opened before the policy was in force. */
  readonly opened: number
}

/** As the packet path has it, with all that keeps it current. */
interface Watched extends Inbound {
  readonly sessions: SessionTable
  readonly callbacks: Callbacks
}

/** Keeps what is known of this host's clients current: its sessions, its services, and who is no client. */
export class InboundWatch {
  readonly inbound: Watched
  readonly #sockets = new Sockets()
  readonly #config: Config['sessions']
  readonly #conntrack: Conntrack
  readonly #opened: OpenedConnections
  readonly #firstUnprivileged = unprivilegedPortStart()
  readonly #kernelPorts = new KernelPorts(readEphemeralPorts().first)
  #listening: ReadonlySet<number> = new Set()
  #local = PrefixSet.empty
  #localText = ''
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

  /** For the metrics. */
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

  /** Learns all that the kernel knows now. @throws NetlinkError (rejects) */
  async start(): Promise<void> {
    await this.refreshServices()
    this.#conntrack.subscribe(this.#news())
    await this.#conntrack.dump()
    await this.findOpened()
  }

  /** Finds the TCP connections that this host has opened and still has. @throws NetlinkError (rejects) */
  async findOpened(): Promise<void> {
    const connections = (await this.#sockets.connections()).filter(
      ({ family, remote }) => !this.#local.has(family, remote),
    )
    this.#opened.find(connections, this.#listening)
    for (const each of connections) if (each.caller !== 'this-host') this.#noteForCallbacks(each)
  }

  /** A session that the kernel's connection tracking has forgotten may still have callbacks. */
  #noteForCallbacks({ family, local, localPort, remote, remotePort }: Connection): void {
    const { callbacks, services, now } = this.inbound
    if (services.tcp[localPort] === 1)
      callbacks.seen(family, IPPROTO_TCP, local, localPort, remote, remotePort, now)
  }

  /** Looks which ports serve clients now. @throws NetlinkError (rejects) */
  async refreshServices(): Promise<void> {
    const open = await this.#sockets.listening()
    this.#listening = open.tcp
    setServices(this.inbound.services, this.#config.services, open, this.#firstUnprivileged)
  }

  /** A service that has just come is one at once, not only when the services are read the next time. */
  #listens(family: Family, local: Words, localPort: number, device: number): boolean {
    if (this.#config.services !== 'auto' || !this.#sockets.listens(family, local, localPort, device))
      return false
    this.inbound.services.tcp[localPort] = 1
    return true
  }

  /** The same for questions about packets that are not there: nothing changes by them, and nothing is counted. */
  looking(): Inbound {
    const { services } = this.#config
    const lookUp = this.#sockets.look
    const listens: Inbound['listens'] = (...port) => services === 'auto' && this.#sockets.listens(...port)
    return onlyLooking({ ...this.inbound, lookUp, listens }, this.inbound.callbacks)
  }

  /** What the kernel's own rules are to know of it. */
  facts(): SocketFacts {
    const { services } = this.inbound
    return {
      services: this.#kernelPorts.of(services, this.#config.services),
      opened: this.#opened.connections,
    }
  }

  /**
   * Connections over loopback that were not tracked for a while: what the kernel still knows of them is out of date, and
   * it would call their packets invalid. @throws NetlinkError (rejects)
   */
  forgetLoopback(): Promise<void> {
    return this.#conntrack.forget(
      ({ family, source, destination }) =>
        this.#local.has(family, source) && this.#local.has(family, destination),
    )
  }

  /**
   * Connections that were approved so long ago that their generation is about to come round: they are judged again.
   * @param marks of the generation that comes @throws NetlinkError (rejects)
   */
  expireGeneration({ mask, approvedNow, approvedOnce }: Marks): Promise<void> {
    return this.#conntrack.replaceMark({ mask, value: approvedNow }, { mask, value: approvedOnce })
  }

  /** Once a second. A new local address means that flows were misjudged: they are read again. */
  async tick(): Promise<void> {
    const now = monotonicSeconds()
    this.inbound.now = now
    this.inbound.sessions.expire(now, EXPIRED_AT_ONCE)
    await this.refreshServices()
    if (this.#opened.isCrowded) this.#opened.keepOpen(await this.#sockets.connections())
    if (this.#readLocal()) await this.#conntrack.dump()
    const isNew = this.#conntrack.subscribe(this.#news())
    if (!isNew && now < this.#nextUdpRead) return
    this.#nextUdpRead = now + Math.min(UDP_READ_S, this.#config.udpTimeout / 3)
    if (this.#hasUdpServices()) await this.#conntrack.dump(IPPROTO_UDP)
  }

  /**
   * Only of UDP clients does nobody know when the kernel has forgotten them: for those of TCP their sockets speak. Who may
   * be called back must be known while connected.
   */
  #news(): ConntrackEvents {
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

  /** @returns whether the addresses of this host have changed */
  #readLocal(): boolean {
    const addresses = localAddresses()
    const text = addresses.join()
    if (text === this.#localText) return false
    this.#localText = text
    this.#local = setOfAddresses(addresses)
    return true
  }

  /** Inbound is what an address of this host answers to one that is not. */
  #onFlow(flow: Flow): void {
    const { family, protocol, source, sourcePort, destination, destinationPort } = flow
    if (protocol === IPPROTO_UDP && this.#isOwnCall(flow)) this.#onLateAnswer(flow)
    if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return
    if (protocol === IPPROTO_TCP && !isOpen(flow)) return
    if (!this.#local.has(family, source) || this.#local.has(family, destination)) return
    const { sessions, services, callbacks, now } = this.inbound
    callbacks.seen(family, protocol, source, sourcePort, destination, destinationPort, now)
    // Others could fill the table, and are never asked for.
    if (services[protocol === IPPROTO_TCP ? 'tcp' : 'udp'][sourcePort] === 1)
      sessions.seen(family, protocol, source, sourcePort, destination, destinationPort, now)
  }

  /** A late answer began this flow, so that it looks like a call. Its client has spoken since: it is one still. */
  #onLateAnswer({ family, source, sourcePort, destination, destinationPort, status }: Flow): void {
    const { sessions, services, now } = this.inbound
    if ((status & IPS_SEEN_REPLY) === 0 || services.udp[destinationPort] !== 1) return
    const client = [family, IPPROTO_UDP, destination, destinationPort, source, sourcePort, now] as const
    if (sessions.silence(...client) < Number.POSITIVE_INFINITY) sessions.seen(...client)
  }

  /** Whether this host has called the other end. */
  #isOwnCall({ family, source, destination }: Flow): boolean {
    return this.#local.has(family, destination) && !this.#local.has(family, source)
  }
}

/** Whether the handshake is done and the connection not yet closed. */
function isOpen({ tcpState }: Flow): boolean {
  return tcpState >= TCP_CONNTRACK_ESTABLISHED && tcpState <= TCP_CONNTRACK_LAST_ACK
}

const monotonicSeconds = () => Math.floor(performance.now() / 1000)
