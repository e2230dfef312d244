import { hasNetAdmin } from './capabilities.js'
import { NetlinkError } from './netlink-error.js'
import { NETLINK_NETFILTER, NetlinkSocket } from './netlink-socket.js'
import type { Slab } from './netlink-socket-options.js'
import {
  bindRequest,
  HELD,
  NF_ACCEPT,
  NF_DROP,
  NF_REPEAT,
  NFQA_CFG_F_FAIL_OPEN,
  NFQA_CFG_F_GSO,
  NFQA_CFG_F_UID_GID,
  parsePacket,
  QueuedPacket,
  type Verdict,
  VerdictWriter,
} from './nfqueue.js'
import { readProc } from './proc.js'
import { QueueOpenError } from './queue-open-error.js'

/** What a queue is opened with. Its callbacks run on the thread that opened it. */
export interface QueueOptions {
  /** Queue number, 0 to 65,535. */
  readonly number: number
  /** Bytes of each packet to see, from its network header on. Default 65,535. */
  readonly copyRange?: number
  /** Packets that may wait in the kernel. Default 1,024. */
  readonly maxLength?: number
  /** A full queue lets packets pass unjudged instead of dropping them. Default false. */
  readonly failOpen?: boolean
  /** Ask for the owner of the sending socket. Default false. */
  readonly uidGid?: boolean
  /** Take large (GSO) packets whole instead of cut into segments. Default false. */
  readonly gso?: boolean
  /** Receive buffer of the socket in bytes. Default 4 MiB. */
  readonly receiveBuffer?: number
  /** Packets received and judged in one go. Default 64. */
  readonly batch?: number
  /**
   * Decides one packet: what it returns is the verdict, or HELD, and then `release` must decide it later.
   * The packet is valid until it returns.
   */
  readonly onPacket: (packet: QueuedPacket) => Verdict | typeof HELD
  /**
   * Decides a packet whose handler threw, or returned no verdict. It sees the packet's own mark again.
   * There is no default: if this throws too, the packet is dropped, and once the verdicts of the batch were
   * sent the error is thrown again, as an uncaught exception.
   */
  readonly onError: (error: unknown, packet: QueuedPacket) => Verdict
  /** After the verdicts of a batch were sent. What it throws is an uncaught exception. */
  readonly onBatch?: (packets: number) => void
}

/** Counters since the queue was opened. */
export interface QueueStats {
  packets: number
  /** Messages that could not be read (no kernel sends such); their packets wait until the queue is closed. */
  unreadable: number
  /** Times that the receive buffer was full, so that the kernel had to drop or pass packets (ENOBUFS). */
  overruns: number
  /** Batches whose verdicts the kernel did not take; their packets wait until the queue is closed. */
  sendFailures: number
}

// Attributes beside the payload: header, mark, devices, owner, hardware address, conntrack, security.
const MESSAGE_OVERHEAD = 512

/**
 * A netfilter queue (NFQUEUE). Each packet gets exactly one verdict: the one its handler returns, or, where
 * that holds it back, the one of `release`. All verdicts of a batch are sent at once, in the same turn of the
 * loop that received it.
 */
export class Queue {
  readonly stats: QueueStats = { packets: 0, unreadable: 0, overruns: 0, sendFailures: 0 }
  readonly number: number
  readonly #options: QueueOptions
  readonly #socket: NetlinkSocket
  readonly #packet = new QueuedPacket()
  readonly #verdicts: VerdictWriter
  readonly #late: VerdictWriter
  /** Numbers of the packets that wait for `release`. */
  readonly #held = new Set<number>()
  #received = 0
  #failure: { readonly error: unknown } | undefined

  /**
   * Binds a queue of the process's network namespace.
   * Packets may reach the handler before the promise is resolved.
   * @throws QueueOpenError (rejects) with `reason` and a message that says what to do; RangeError (rejects)
   *   for an option out of its range
   */
  static async open(options: QueueOptions): Promise<Queue> {
    let queue: Queue | undefined
    try {
      queue = new Queue(options)
      await queue.#bind()
      return queue
    } catch (error) {
      queue?.close()
      throw openError(options.number, error)
    }
  }

  private constructor(options: QueueOptions) {
    const { number, copyRange = 65535, maxLength = 1024, batch = 64 } = options
    const receiveBuffer = options.receiveBuffer ?? 4 * 1024 * 1024
    checkRange('number', number, 0, 65535)
    checkRange('copyRange', copyRange, 0, 65535)
    checkRange('maxLength', maxLength, 1, 0xffffffff)
    checkRange('batch', batch, 1, 1024)
    checkRange('receiveBuffer', receiveBuffer, 0, 0x3fffffff)
    this.number = number
    this.#options = options
    this.#verdicts = new VerdictWriter(number, batch)
    this.#late = new VerdictWriter(number, 1)
    this.#socket = new NetlinkSocket({
      protocol: NETLINK_NETFILTER,
      slots: batch,
      slotSize: (copyRange + MESSAGE_OVERHEAD + 7) & ~7,
      receiveBuffer,
      onDatagram: (slab, start, end) => this.#onDatagram(slab, start, end),
      onBatchEnd: () => this.#finishBatch(),
      onTruncated: () => this.#onUnreadable(),
      onOverrun: () => {
        this.stats.overruns++
      },
    })
  }

  get closed(): boolean {
    return this.#socket.closed
  }

  /** The netlink address of the queue's socket, as /proc/net/netfilter/nfnetlink_queue shows it. */
  get portId(): number {
    return this.#socket.portId
  }

  /** Packets that wait for `release`. */
  get held(): number {
    return this.#held.size
  }

  /**
   * Decides a packet that was held.
   * @param id the number it had @param mark its new mark, or undefined to leave it as it is
   * @returns whether it was still waiting; a second verdict is none
   */
  release(id: number, verdict: Verdict, mark?: number): boolean {
    if (!this.#held.delete(id) || this.closed) return false
    this.#late.add(id, checkVerdict(verdict, 'release'), mark === undefined ? -1 : mark >>> 0)
    this.#send(this.#late)
    return true
  }

  /** Whether the open queue keeps the process running. It does, unless told otherwise. */
  keepAlive(yes: boolean): void {
    this.#socket.keepAlive(yes)
  }

  /** Unbinds at once, in a handler too; the kernel drops what still waits. A second call does nothing. */
  close(): void {
    this.#socket.close()
  }

  async #bind(): Promise<void> {
    const { number, copyRange = 65535, maxLength = 1024, failOpen, uidGid, gso } = this.#options
    const flags =
      (failOpen ? NFQA_CFG_F_FAIL_OPEN : 0) | (uidGid ? NFQA_CFG_F_UID_GID : 0) | (gso ? NFQA_CFG_F_GSO : 0)
    await this.#socket.request(
      bindRequest({ number, copyRange, maxLength, flags }),
      `binding netfilter queue ${number}`,
    )
  }

  #onDatagram(slab: Slab, start: number, end: number): boolean {
    const packet = this.#packet
    const parsed = parsePacket(slab.view, slab.bytes, start, end, packet)
    if (parsed === 'other') return false
    if (parsed === 'malformed') {
      this.#onUnreadable()
      return true
    }
    const { id, mark } = packet
    const verdict = this.#decide(packet, mark)
    this.#received++
    const newMark = packet.mark === mark ? -1 : packet.mark >>> 0
    if (verdict === HELD) this.#hold(id)
    else if (packet.sendsBytes) this.#verdicts.addWithBytes(id, verdict, newMark, packet)
    else this.#verdicts.add(id, verdict, newMark)
    return true
  }

  #hold(id: number): void {
    this.#held.add(id)
    this.#verdicts.stopRuns()
  }

  #onUnreadable(): void {
    this.stats.unreadable++
    this.#verdicts.stopRuns()
  }

  #decide(packet: QueuedPacket, mark: number): Verdict | typeof HELD {
    try {
      const verdict = this.#options.onPacket(packet)
      checkBytes(packet, verdict)
      return verdict === HELD ? HELD : checkVerdict(verdict, 'onPacket')
    } catch (error) {
      packet.mark = mark
      packet.sendsBytes = false
      return this.#decideFailed(error, packet, mark)
    }
  }

  #decideFailed(error: unknown, packet: QueuedPacket, mark: number): Verdict {
    try {
      const verdict = this.#options.onError(error, packet)
      checkBytes(packet, verdict)
      return checkVerdict(verdict, 'onError')
    } catch (error) {
      packet.mark = mark
      packet.sendsBytes = false
      this.#failure ??= { error }
      return NF_DROP
    }
  }

  #finishBatch(): void {
    const received = this.#received
    if (received === 0) return
    this.#received = 0
    this.stats.packets += received
    this.#send(this.#verdicts)
    const failure = this.#failure
    this.#failure = undefined
    this.#options.onBatch?.(received)
    if (failure) throw failure.error
  }

  #send(verdicts: VerdictWriter): void {
    try {
      if (!this.closed && verdicts.length > 0) this.#socket.send(verdicts.bytes, verdicts.length)
    } catch {
      this.stats.sendFailures++
      this.#verdicts.stopRuns()
    }
    verdicts.clear()
  }
}

function checkVerdict(value: Verdict, from: string): Verdict {
  if (value === NF_ACCEPT || value === NF_DROP || value === NF_REPEAT) return value
  throw new TypeError(`${from} returned no verdict but ${String(value)}`)
}

function checkBytes(packet: QueuedPacket, verdict: unknown): void {
  if (!packet.sendsBytes) return
  if (verdict === HELD) throw new TypeError('sendsBytes: not with HELD')
  if (packet.canSendBytes) return
  const { start, end, length } = packet
  throw new RangeError(
    `sendsBytes: ${end - start} of ${length} bytes were seen, or the kernel still cuts them`,
  )
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new RangeError(`${name} must be an integer from ${least} to ${most}, not ${value}`)
}

function openError(number: number, error: unknown): unknown {
  if (!(error instanceof NetlinkError)) return error
  const owner = ownerOf(number)
  const fail = (reason: QueueOpenError['reason'], message: string) =>
    new QueueOpenError(reason, `netfilter queue ${number}: ${message}`, { cause: error })
  if (error.code === 'EINVAL' || error.code === 'EPROTONOSUPPORT')
    return fail(
      'unsupported',
      'this kernel has no NFQUEUE: load the module nfnetlink_queue, or use a kernel that has it',
    )
  // The kernel says EPERM both for a taken queue and for a missing capability.
  if (error.code === 'EBUSY' || (error.code === 'EPERM' && (owner ?? hasNetAdmin())))
    return fail('taken', `bound by another program${owner || ''}: stop it, or choose another queue number`)
  if (error.code === 'EPERM')
    return fail('no-permission', 'CAP_NET_ADMIN is needed: run as root or give the service that capability')
  return fail('failed', error.message)
}

/**
 * ` (netlink port 4711)`: by custom the port is the process id of the owner's first socket. Empty when nobody
 * is bound to the number, undefined when that cannot be read: the list belongs to root.
 */
function ownerOf(number: number): string | undefined {
  const list = readProc('/proc/self/net/netfilter/nfnetlink_queue')
  for (const line of list?.split('\n') ?? []) {
    const [queue, port] = line.trim().split(/\s+/)
    if (queue === String(number)) return ` (netlink port ${port}, often its process id)`
  }
  return list && ''
}
