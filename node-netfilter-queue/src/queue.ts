import { readFileSync } from 'node:fs'
import { NetlinkError, QueueOpenError } from './errors.js'
import {
  bindRequest,
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
import { NETLINK_NETFILTER, NetlinkSocket, type Slab } from './socket.js'

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
  /** Decides one packet: what it returns is the verdict. The packet is valid until it returns. */
  readonly onPacket: (packet: QueuedPacket) => Verdict
  /** Decides a packet whose handler threw, or returned no verdict. There is no default. */
  readonly onError: (error: unknown, packet: QueuedPacket) => Verdict
  /** After the verdicts of a batch were sent. */
  readonly onBatch?: (packets: number) => void
}

/** Counters since the queue was opened. */
export interface QueueStats {
  packets: number
  /** Messages that could not be read: too long for their slot, or lengths that do not fit. */
  unreadable: number
  /** Times that the receive buffer was full, so that the kernel had to drop or pass packets (ENOBUFS). */
  overruns: number
  /** Batches whose verdicts the kernel did not take; their packets wait until the queue is closed. */
  sendFailures: number
}

// Attributes around the payload: header, marks, devices, owner, hardware address, conntrack, security context.
const MESSAGE_OVERHEAD = 512

/**
 * A netfilter queue (NFQUEUE). Each packet gets exactly one verdict: the one its handler returns. All verdicts
 * of a batch are sent at once, in the same turn of the loop that received it.
 */
export class Queue {
  readonly stats: QueueStats = { packets: 0, unreadable: 0, overruns: 0, sendFailures: 0 }
  readonly number: number
  readonly #options: QueueOptions
  readonly #socket: NetlinkSocket
  readonly #packet = new QueuedPacket()
  readonly #verdicts: VerdictWriter
  #decided = 0

  /**
   * Binds a queue of the process's network namespace.
   * @throws QueueOpenError (rejects) with `reason` and a message that says what to do
   */
  static async open(options: QueueOptions): Promise<Queue> {
    const queue = new Queue(options)
    try {
      await queue.#bind()
      return queue
    } catch (error) {
      queue.close()
      throw openError(options.number, error)
    }
  }

  private constructor(options: QueueOptions) {
    const { number, copyRange = 65535, maxLength = 1024, batch = 64 } = options
    checkRange('number', number, 0, 65535)
    checkRange('copyRange', copyRange, 0, 65535)
    checkRange('maxLength', maxLength, 1, 0xffffffff)
    checkRange('batch', batch, 1, 1024)
    this.number = number
    this.#options = options
    this.#verdicts = new VerdictWriter(number, batch)
    this.#socket = new NetlinkSocket({
      protocol: NETLINK_NETFILTER,
      slots: batch,
      slotSize: (copyRange + MESSAGE_OVERHEAD + 7) & ~7,
      receiveBuffer: options.receiveBuffer ?? 4 * 1024 * 1024,
      onDatagram: (slab, start, end) => this.#onDatagram(slab, start, end),
      onBatchEnd: () => this.#sendVerdicts(),
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
      this.stats.unreadable++
      return true
    }
    const mark = packet.mark
    const verdict = this.#decide(packet)
    this.#verdicts.add(packet.id, verdict, packet.mark === mark ? -1 : packet.mark >>> 0)
    this.#decided++
    return true
  }

  #decide(packet: QueuedPacket): Verdict {
    try {
      const verdict = this.#options.onPacket(packet)
      if (isVerdict(verdict)) return verdict
      throw new TypeError(`the packet handler returned no verdict but ${String(verdict)}`)
    } catch (error) {
      const verdict = this.#options.onError(error, packet)
      return isVerdict(verdict) ? verdict : NF_DROP
    }
  }

  #sendVerdicts(): void {
    const decided = this.#decided
    if (decided === 0) return
    const verdicts = this.#verdicts
    this.#decided = 0
    this.stats.packets += decided
    try {
      if (!this.closed) this.#socket.send(verdicts.bytes, verdicts.length)
    } catch {
      this.stats.sendFailures++
    }
    verdicts.clear()
    this.#options.onBatch?.(decided)
  }
}

const isVerdict = (value: unknown): value is Verdict =>
  value === NF_ACCEPT || value === NF_DROP || value === NF_REPEAT

function checkRange(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new RangeError(`${name} must be an integer from ${least} to ${most}, not ${value}`)
}

/** The kernel says EPERM both for a taken queue and for a missing capability: look which one it is. */
function openError(number: number, error: unknown): unknown {
  if (!(error instanceof NetlinkError)) return error
  const fail = (reason: QueueOpenError['reason'], message: string) =>
    new QueueOpenError(reason, `netfilter queue ${number}: ${message}`, { cause: error })
  if (error.code === 'EINVAL' || error.code === 'EPROTONOSUPPORT')
    return fail(
      'unsupported',
      'this kernel has no NFQUEUE: load the module nfnetlink_queue, or use a kernel that has it',
    )
  if (error.code === 'EBUSY' || (error.code === 'EPERM' && hasNetAdmin()))
    return fail(
      'taken',
      `bound by another program${ownerOf(number)}: stop it, or choose another queue number`,
    )
  if (error.code === 'EPERM')
    return fail('no-permission', 'CAP_NET_ADMIN is needed: run as root or give the service that capability')
  return fail('failed', error.message)
}

// include/uapi/linux/capability.h: #define CAP_NET_ADMIN 12
const CAP_NET_ADMIN = 12n

function hasNetAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(read('/proc/self/status'))?.[1] ?? '0'
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n
}

/** ` (netlink port 4711)`: by custom the port is the process id of the owner's first socket. */
function ownerOf(number: number): string {
  for (const line of read('/proc/self/net/netfilter/nfnetlink_queue').split('\n')) {
    const [queue, port] = line.trim().split(/\s+/)
    if (queue === String(number)) return ` (netlink port ${port}, often its process id)`
  }
  return ''
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
