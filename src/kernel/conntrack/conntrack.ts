import { type Message, NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from 'node-netfilter-queue/system'
import { SerialQueue } from '../../system/serial-queue.js'
import { openConnectionsOnly } from './event-filter.js'
import {
  deleteRequest,
  dumpRequest,
  Flow,
  type MaskedMark,
  markedRequest,
  markRequest,
  NFNLGRP_CONNTRACK_DESTROY,
  NFNLGRP_CONNTRACK_NEW,
  NFNLGRP_CONNTRACK_UPDATE,
  readFlow,
} from './wire.js'

// include/linux/socket.h: #define AF_INET 2, AF_INET6 10
const FAMILIES = [2, 10] as const
const DUMPS_AT_MOST = 3
const RESYNC_DELAY_MS = 200
/** Is given a connection, which is valid until the listener returns. */
export type FlowListener = (flow: Flow) => void

/**
 * Holds the events of some 40,000 connections deleted at once (`conntrack -F`); the memory is taken only
 * then.
 */
const RECEIVE_BUFFER = 32 * 1024 * 1024

/**
 * The events to subscribe to. The kernel writes a message for each, in the time of the process that uses the
 * connection:
 *
 * - `nothing`
 * - `forgotten`: deleted connections
 * - `all`: new and changed connections as well
 */
export type ConntrackEvents = 'nothing' | 'forgotten' | 'all'

const GROUPS: Record<ConntrackEvents, readonly number[]> = {
  nothing: [],
  forgotten: [NFNLGRP_CONNTRACK_DESTROY],
  all: [NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY],
}

/**
 * Lists the open connections of this network namespace that are tracked, and reports their events. After lost
 * events all connections are listed again.
 */
export class Conntrack {
  /** Counts listings after lost events, and how often events were lost. */
  readonly stats = { resyncs: 0, overruns: 0 }
  readonly #flow = new Flow()
  readonly #onFlow: FlowListener
  readonly #events: NetlinkSocket
  readonly #dumps: NetlinkSocket
  readonly #turns = new SerialQueue()
  #subscribed: ConntrackEvents = 'nothing'
  #resync: NodeJS.Timeout | undefined

  /** @throws NetlinkError when the kernel has no netfilter sockets */
  constructor(onFlow: FlowListener) {
    this.#onFlow = onFlow
    this.#events = new NetlinkSocket({
      protocol: NETLINK_NETFILTER,
      filter: openConnectionsOnly(),
      slotSize: 2048,
      receiveBuffer: RECEIVE_BUFFER,
      onMessage: (message) => this.#onMessage(message, onFlow),
      onOverrun: () => this.#onOverrun(),
    })
    this.#dumps = new NetlinkSocket({ protocol: NETLINK_NETFILTER, slots: 8 })
  }

  /**
   * Subscribes to events. @returns whether that is a change @throws NetlinkError when the kernel has no
   * conntrack events
   */
  subscribe(events: ConntrackEvents): boolean {
    if (events === this.#subscribed) return false
    for (const group of GROUPS[this.#subscribed]) this.#events.leave(group)
    for (const group of GROUPS[events]) this.#events.join(group)
    this.#subscribed = events
    return true
  }

  /**
   * Lists all connections, or those of one protocol. @param onFlow the listener of events unless given
   * @throws NetlinkError (rejects)
   */
  dump(protocol?: number, onFlow = this.#onFlow): Promise<void> {
    return this.#turns.run(() => this.#dump(protocol, (message) => this.#onMessage(message, onFlow)))
  }

  /**
   * Deletes connections from connection tracking. @param isUnwanted is called for each; the flow is valid
   * until it returns
   * @throws NetlinkError (rejects)
   */
  forget(isUnwanted: (flow: Flow) => boolean): Promise<void> {
    return this.#turns.run(() =>
      this.#dump(undefined, ({ view, payload, end }) => {
        if (!readFlow(view, payload, end, this.#flow) || !isUnwanted(this.#flow)) return
        // No answer is asked for: a connection that is gone by now needs no deletion.
        this.#events.send(deleteRequest(view, payload, end))
      }),
    )
  }

  /**
   * Changes the mark of all connections that have the mark `from`. @param from, to under the same mask
   * @throws NetlinkError (rejects)
   */
  replaceMark(from: MaskedMark, to: MaskedMark): Promise<void> {
    return this.#turns.run(() =>
      this.#list(
        (family) => markedRequest(family, from),
        ({ view, payload, end }) => this.#events.send(markRequest(view, payload, end, to)),
      ),
    )
  }

  close(): void {
    clearTimeout(this.#resync)
    this.#events.close()
    this.#dumps.close()
  }

  #dump(protocol: number | undefined, onMessage: (message: Message) => void): Promise<void> {
    return this.#list((family) => dumpRequest(family, protocol), onMessage)
  }

  async #list(request: (family: number) => Uint8Array, onMessage: (message: Message) => void): Promise<void> {
    for (const family of FAMILIES) {
      for (let tries = DUMPS_AT_MOST; tries > 0; tries--) {
        const reply = await this.#dumps.request(request(family), 'listing connections', onMessage)
        if (!reply.interrupted) break
      }
    }
  }

  #onMessage({ view, payload, end }: Message, onFlow: FlowListener): void {
    if (readFlow(view, payload, end, this.#flow)) onFlow(this.#flow)
  }

  /** Lists connections once after a burst of lost events. */
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
