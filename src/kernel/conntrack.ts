import { type Message, NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from 'node-netfilter-queue'
import { CONNTRACK_GROUPS, dumpRequest, Flow, IPCTNL_MSG_CT_DELETE, readFlow } from './conntrack-wire.js'

// include/linux/socket.h: #define AF_INET 2, AF_INET6 10
const FAMILIES = [2, 10] as const
const DUMPS_AT_MOST = 3
const RESYNC_DELAY_MS = 200
const RECEIVE_BUFFER = 8 * 1024 * 1024

/** `seen`: the connection exists, as told by an event or by a dump; `ended`: the kernel has forgotten it. */
export type FlowEvent = 'seen' | 'ended'

/** Called with each change; the flow is valid until it returns. */
export type FlowListener = (event: FlowEvent, flow: Flow) => void

/** Watches the connections of this network namespace: a dump, then events, and a new dump after lost events. */
export class Conntrack {
  /** Dumps after lost events; times events were lost. */
  readonly stats = { resyncs: 0, overruns: 0 }
  readonly #flow = new Flow()
  readonly #listener: FlowListener
  readonly #events: NetlinkSocket
  readonly #dumps: NetlinkSocket
  #resync: NodeJS.Timeout | undefined

  /** @throws NetlinkError when the kernel has no conntrack events, or the capability is missing */
  constructor(listener: FlowListener) {
    this.#listener = listener
    this.#events = new NetlinkSocket({
      protocol: NETLINK_NETFILTER,
      groups: CONNTRACK_GROUPS,
      slotSize: 2048,
      receiveBuffer: RECEIVE_BUFFER,
      onMessage: (message) => this.#onMessage(message),
      onOverrun: () => this.#onOverrun(),
    })
    this.#dumps = new NetlinkSocket({ protocol: NETLINK_NETFILTER, slots: 8 })
  }

  /** Tells the listener of every connection there is. @throws NetlinkError (rejects) */
  async dump(): Promise<void> {
    for (const family of FAMILIES) {
      for (let tries = DUMPS_AT_MOST; tries > 0; tries--) {
        const reply = await this.#dumps.request(dumpRequest(family), 'listing connections', (message) =>
          this.#onMessage(message),
        )
        if (!reply.interrupted) break
      }
    }
  }

  close(): void {
    clearTimeout(this.#resync)
    this.#events.close()
    this.#dumps.close()
  }

  #onMessage({ view, type, payload, end }: Message): void {
    if (!readFlow(view, payload, end, this.#flow)) return
    this.#listener(type === IPCTNL_MSG_CT_DELETE ? 'ended' : 'seen', this.#flow)
  }

  /** Lost events come in bursts: one dump when the burst is over. */
  #onOverrun(): void {
    this.stats.overruns++
    this.#resync ??= setTimeout(async () => {
      this.#resync = undefined
      this.stats.resyncs++
      try {
        await this.dump()
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error
        if (!this.#events.closed) this.#onOverrun()
      }
    }, RESYNC_DELAY_MS)
  }
}
