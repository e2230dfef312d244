import { pino } from 'pino'
import { questionsOf } from '../core/asking.js'
import { BlockKinds, type Kind } from '../core/kinds.js'
import type { Packet } from '../core/packet.js'
import { type Decision, NAME_NOT_ALLOWED, REASONS } from '../core/policy.js'
import { addressText } from '../core/text.js'
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../core/types.js'
import { ECS } from './ecs.js'
import { LineFile } from './line-file.js'

/** Kinds of blocks told of in one window; the rest is counted. With the window, this bounds the log's growth. */
const KINDS = 512
const ECS_VERSION = '8.11.0'
export const WINDOW_MS = 30_000

export interface BlockLogOptions {
  /** A path, or `stdout`. */
  readonly destination: string
  /** Name of a user, where it is known. */
  readonly userName: (uid: number) => string | undefined
  /** The log cannot be written; told once, until it can be. */
  readonly onTrouble: (error: Error) => void
}

/** What is counted of the log. In all windows: events + repeats told + suppressed = blocks. */
export interface BlockLogStats {
  /** Lines handed to the file. */
  events: number
  suppressed: number
  /** Lines that could not be written. */
  dropped: number
}

type Mode = 'observe' | 'enforce'

/** The block log: one line of JSON an event, fields of the Elastic Common Schema (ECS 8). */
export class BlockLog {
  readonly stats: BlockLogStats = { events: 0, suppressed: 0, dropped: 0 }
  readonly #options: BlockLogOptions
  readonly #kinds = new BlockKinds(KINDS, crypto.getRandomValues(new Uint32Array(2)))
  readonly #file: LineFile
  readonly #logger: pino.Logger
  #mode: Mode = 'enforce'

  /** @throws Error when the file cannot be opened: better now than after the first block */
  constructor(options: BlockLogOptions) {
    this.#options = options
    this.#file = openLog(options, (lines) => {
      this.stats.dropped += lines
    })
    this.#logger = pino(
      { ...ECS, base: { 'ecs.version': ECS_VERSION, ...ECS.base } },
      { write: (line) => this.#file.write(line) },
    )
  }

  /** Notes a block, or what would have been one. For the packet path: nothing is formatted here. */
  note(packet: Packet, uid: number, decision: Decision, mode: Mode): void {
    this.#mode = mode
    const questionOf = decision === NAME_NOT_ALLOWED ? firstQuestion : undefined
    if (this.#kinds.note(packet, uid, decision.reasonIndex, questionOf) === 'suppressed')
      this.stats.suppressed++
  }

  /** Writes the kinds that are new: after the verdicts were sent. */
  flushFresh(): void {
    for (const kind of this.#kinds.takeFresh()) this.#write(kind, 1)
  }

  /** Ends the window: sums are written. */
  turn(): void {
    this.flushFresh()
    const suppressed = this.#kinds.turn((kind) => this.#write(kind, kind.repeats))
    if (suppressed === 0) return
    this.stats.events++
    this.#logger.warn(
      { 'event.action': actionOf(this.#mode), 'event.reason': 'suppressed', 'checkvalve.repeat': suppressed },
      `${suppressed} more blocks of too many kinds to list in ${WINDOW_MS / 1000} s: see the metrics`,
    )
  }

  /** Opens the file anew, after it was moved away. */
  reopen(): void {
    this.#file.reopen()
  }

  /** Writes what is left and closes, within two seconds. */
  async close(): Promise<void> {
    this.turn()
    await this.#file.close()
  }

  #write(kind: Kind, count: number): void {
    this.stats.events++
    this.#logger.warn(this.#fields(kind, count), this.#message(kind, count))
  }

  #fields(kind: Kind, count: number): Record<string, unknown> {
    const name = kind.uid < 0 ? undefined : this.#options.userName(kind.uid)
    return {
      'event.kind': 'event',
      'event.category': ['network'],
      'event.type': [this.#mode === 'observe' ? 'allowed' : 'denied'],
      'event.action': actionOf(this.#mode),
      'event.reason': REASONS[kind.reasonIndex],
      'source.ip': addressText(kind.family, kind.source),
      ...(kind.sourcePort > 0 && { 'source.port': kind.sourcePort }),
      'destination.ip': addressText(kind.family, kind.destination),
      ...(kind.destinationPort > 0 && { 'destination.port': kind.destinationPort }),
      ...(kind.question !== undefined && { 'dns.question.name': kind.question }),
      'network.transport': transportOf(kind.protocol),
      'network.type': `ipv${kind.family}`,
      'network.direction': 'egress',
      ...(kind.uid >= 0 && { 'user.id': String(kind.uid) }),
      ...(name !== undefined && { 'user.name': name }),
      'checkvalve.mode': this.#mode,
      'checkvalve.repeat': count,
    }
  }

  #message(kind: Kind, count: number): string {
    const who =
      kind.uid < 0 ? 'a packet without a user' : (this.#options.userName(kind.uid) ?? `uid ${kind.uid}`)
    const address = addressText(kind.family, kind.destination)
    const port = kind.destinationPort > 0 ? ` port ${kind.destinationPort}` : ''
    const times = count > 1 ? `, ${count} times` : ''
    const verb = this.#mode === 'observe' ? 'would have blocked' : 'blocked'
    const reason = [REASONS[kind.reasonIndex], kind.question].filter((each) => each !== undefined).join(': ')
    return `${verb} ${who} -> ${transportOf(kind.protocol)} ${address}${port} (${reason})${times}`
  }
}

function openLog({ destination, onTrouble }: BlockLogOptions, onDrop: (lines: number) => void): LineFile {
  try {
    return new LineFile({ destination, onDrop, onTrouble })
  } catch (error) {
    throw new Error(
      `the block log cannot be written (${(error as Error).message}): let this user write there, or set log.destination`,
    )
  }
}

const firstQuestion = (packet: Packet) => questionsOf(packet)?.[0]?.name

const actionOf = (mode: Mode) => (mode === 'observe' ? 'would-block' : 'block')

function transportOf(protocol: number): string {
  if (protocol === IPPROTO_TCP) return 'tcp'
  if (protocol === IPPROTO_UDP) return 'udp'
  if (protocol === IPPROTO_ICMP) return 'icmp'
  return protocol === IPPROTO_ICMPV6 ? 'ipv6-icmp' : String(protocol)
}
