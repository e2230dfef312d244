import { networkInterfaces } from 'node:os'
import { parsePrefix } from './addressing.js'
import type { Config } from './config.js'
import { PrefixSet } from './core/addresses.js'
import type { Inbound } from './core/policy.js'
import { SessionTable } from './core/sessions.js'
import { IPPROTO_TCP, IPPROTO_UDP } from './core/types.js'
import { Conntrack, type FlowEvent } from './kernel/conntrack.js'
import {
  type Flow,
  TCP_CONNTRACK_CLOSE,
  TCP_CONNTRACK_ESTABLISHED,
  TCP_CONNTRACK_LAST_ACK,
} from './kernel/conntrack-wire.js'
import { Listeners } from './kernel/listeners.js'
import { noServices, setServices, unprivilegedPortStart } from './kernel/services.js'

/** Sessions expired in one go: the rest waits for the next tick, so that no tick is long. */
const EXPIRED_AT_ONCE = 10_000

/** Keeps what is known of this host's clients current: its sessions, from conntrack, and its services. */
export class InboundWatch {
  readonly inbound: Inbound
  readonly #config: Config['sessions']
  readonly #conntrack: Conntrack
  readonly #listeners = new Listeners()
  readonly #firstUnprivileged = unprivilegedPortStart()
  #local = PrefixSet.empty
  #localText = ''

  /** @throws NetlinkError when the kernel has no connection tracking events */
  constructor(config: Config['sessions']) {
    const { capacity, tcpTimeout, udpTimeout } = config
    const seed = crypto.getRandomValues(new Uint32Array(2))
    this.#config = config
    this.inbound = {
      sessions: new SessionTable({ capacity, tcpTimeout, udpTimeout, seed }),
      services: noServices(),
      now: monotonicSeconds(),
    }
    this.#readLocal()
    this.#conntrack = new Conntrack((event, flow) => this.#onFlow(event, flow))
  }

  /** Learns all that the kernel knows now. @throws NetlinkError (rejects) */
  async start(): Promise<void> {
    await this.refreshServices()
    await this.#conntrack.dump()
    await this.#adoptConnections()
  }

  /**
   * Where nothing asked for it until now, the kernel has followed no connection: whose server speaks next would be
   * cut off. So clients that the sockets name count, on ports that an ordinary user could not have opened.
   */
  async #adoptConnections(): Promise<void> {
    const { sessions, services, now } = this.inbound
    const { services: declared } = this.#config
    for (const { family, local, localPort, remote, remotePort } of await this.#listeners.connections()) {
      const trusted = declared !== 'auto' || localPort < this.#firstUnprivileged
      if (!trusted || services.tcp[localPort] !== 1 || this.#local.has(family, remote)) continue
      sessions.seen(family, IPPROTO_TCP, local, localPort, remote, remotePort, now)
    }
  }

  /** Looks which ports serve clients now. @throws NetlinkError (rejects) */
  async refreshServices(): Promise<void> {
    const open = await this.#listeners.read()
    setServices(this.inbound.services, this.#config.services, open, this.#firstUnprivileged)
  }

  /** Once a second. A new local address means that flows were misjudged: they are read again. */
  async tick(): Promise<void> {
    this.inbound.now = monotonicSeconds()
    this.inbound.sessions.expire(this.inbound.now, EXPIRED_AT_ONCE)
    await this.refreshServices()
    if (this.#readLocal()) await this.#conntrack.dump()
  }

  close(): void {
    this.#conntrack.close()
    this.#listeners.close()
  }

  /** @returns whether the addresses of this host have changed */
  #readLocal(): boolean {
    const addresses = Object.values(networkInterfaces()).flatMap(
      (each) => each?.map(({ address }) => address) ?? [],
    )
    const text = addresses.join()
    if (text === this.#localText) return false
    this.#localText = text
    this.#local = PrefixSet.of(
      addresses.flatMap((address) => {
        const prefix = parsePrefix(address)
        return prefix.ok ? [prefix.value] : []
      }),
    )
    return true
  }

  /** Inbound is what an address of this host answers to one that is not. */
  #onFlow(event: FlowEvent, flow: Flow): void {
    const { family, protocol, source, sourcePort, destination, destinationPort } = flow
    if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return
    if (!this.#local.has(family, source) || this.#local.has(family, destination)) return
    const { sessions, now } = this.inbound
    const fate = protocol === IPPROTO_TCP ? fateOfTcp(event, flow.tcpState) : 'keep'
    if (fate === 'keep')
      sessions.seen(family, protocol, source, sourcePort, destination, destinationPort, now)
    else if (fate === 'forget')
      sessions.remove(family, protocol, source, sourcePort, destination, destinationPort)
  }
}

/**
 * A TCP session is one once the handshake is done, until it is closed. That conntrack forgets it means nothing:
 * outliving conntrack is what the table is for.
 */
function fateOfTcp(event: FlowEvent, state: number): 'keep' | 'forget' | 'nothing' {
  if (state > TCP_CONNTRACK_LAST_ACK && state <= TCP_CONNTRACK_CLOSE) return 'forget'
  if (event === 'ended' || state < TCP_CONNTRACK_ESTABLISHED) return 'nothing'
  return 'keep'
}

const monotonicSeconds = () => Math.floor(performance.now() / 1000)
