import { pino } from 'pino'
import type { Family, Words } from '../../core/packet/ip.js'
import type { Packet } from '../../core/packet/packet.js'
import type { SenderLookup } from '../../core/packet/sender.js'
import { NAME_NOT_ALLOWED } from '../../core/policy/policy.js'
import type { Decision } from '../../core/policy/rule.js'
import { BlockAggregator, type NotedBlock } from '../../core/record/block-summary.js'
import { BLOCK_LOG_LIMITS } from '../../core/record/user-shares.js'
import type { ServiceLog } from '../../system/service-log.js'
import { ECS } from '../../text/ecs.js'
import { type Alert, alertEvent } from './alert-event.js'
import {
  blockEvent,
  type Fields,
  lostEvent,
  type Mode,
  type Refused,
  refusedEvent,
  type Surroundings,
} from './event-writer.js'
import { LineFile } from './line-file.js'
import { LastLines } from './recent-blocks.js'
import { lossText, recoveryText, startText, troubleText } from './trouble-text.js'

const ECS_VERSION = '8.11.0'

export interface BlockLogOptions {
  /** A path, or `stdout`. */
  readonly destination: string
  /** Returns the name of a user, or undefined when it is not known. */
  readonly userName: (uid: number) => string | undefined
  /** Returns the name by which a user last found an address. */
  readonly domainOf: (family: Family, words: Words, uid: number) => string | undefined
  /** Returns the name for which a query may not ask, of a packet to a resolver. */
  readonly refusedName: (packet: Packet) => string | undefined
  /**
   * Reports once that the block log cannot be written, once that it can be again, and lines that are lost at
   * the end.
   */
  readonly log: Pick<ServiceLog, 'warn' | 'error'>
}

/** A time when the block log could not be written. */
export interface LogTrouble {
  /** RFC 3339, UTC. */
  readonly at: string
  readonly message: string
}

/** Counters of the log. At any moment told + summed + suppressed are all blocks. */
export interface BlockLogStats {
  /** Blocks with a line of their own. */
  readonly told: number
  /** Blocks counted in summaries of their kind. */
  readonly summed: number
  /** Blocks counted in summaries of their user only. */
  readonly suppressed: number
  /** Lost lines. */
  readonly dropped: number
}

/** Writes the block log: a line of JSON for each BlockEvent. */
export class BlockLog {
  readonly #options: BlockLogOptions
  readonly #kinds: BlockAggregator
  readonly #file: LineFile
  readonly #logger: pino.Logger
  readonly #last = new LastLines()
  #line = ''
  #isTaken = true
  #mode: Mode = 'enforce'
  #dropped = 0
  /** Lost lines that no event has counted yet. */
  #lost = { lines: 0, blocks: 0 }
  #trouble: LogTrouble | undefined

  /**
   * @param now as for `tick`
   * @throws Error when the file cannot be opened: better at the start than after the first block
   */
  constructor(options: BlockLogOptions, now: number) {
    this.#options = options
    const seed = crypto.getRandomValues(new Uint32Array(2))
    this.#kinds = new BlockAggregator(BLOCK_LOG_LIMITS, seed, now, ({ family, destination }, uid) =>
      options.domainOf(family, destination, uid),
    )
    this.#file = this.#openFile()
    const write = (line: string) => {
      this.#line = line
      this.#isTaken = this.#file.write(line)
    }
    this.#logger = pino({ ...ECS, base: { 'ecs.version': ECS_VERSION, ...ECS.base } }, { write })
  }

  get stats(): BlockLogStats {
    const { logged: told, summarized: summed, suppressed } = this.#kinds
    return { told, summed, suppressed, dropped: this.#dropped }
  }

  /** The last time that the block log could not be written. */
  get trouble(): LogTrouble | undefined {
    return this.#trouble
  }

  /** The last line about each user and unit, written or not; the newest last. */
  get last(): readonly string[] {
    return this.#last.all
  }

  /** Whether the disk does not answer: see LineFile. */
  get hangs(): boolean {
    return this.#file.hangs
  }

  /**
   * Notes a block, or in mode observe a packet that would have been blocked. For the packet path: nothing is
   * formatted here.
   */
  note(packet: Packet, uid: number, decision: Decision, mode: Mode, attributed: SenderLookup): NotedBlock {
    if (mode !== this.#mode) this.#change(mode)
    const question = decision === NAME_NOT_ALLOWED ? this.#options.refusedName(packet) : undefined
    return this.#kinds.note(packet, uid, decision, attributed, question)
  }

  /** Writes how many packets the kernel has refused itself. */
  noteRefused(refused: Refused): void {
    this.#takes(refusedEvent(refused, this.#surroundings))
  }

  /** Writes what tripwire and quarantine did. @returns the line's message */
  alert(alert: Alert): string {
    const event = alertEvent(alert, this.#surroundings)
    this.#logger.warn(event)
    if (!this.#isTaken) this.#dropped++
    return event.message
  }

  /** Writes new events. To be called after the verdicts were sent. */
  flushFresh(): void {
    for (const telling of this.#kinds.take()) this.#write(blockEvent(telling, this.#surroundings))
  }

  /** Writes summaries that are due. To be called each second. @param now milliseconds of a monotonic clock */
  tick(now: number): void {
    this.#kinds.tick(now)
    this.flushFresh()
    if (this.#file.isWell) this.#countLost()
  }

  /** Reopens the file, after it was moved away. */
  reopen(): void {
    this.#file.reopen()
  }

  /**
   * Writes the remaining lines and closes, within two seconds.
   * @returns number of lines that could not be written
   */
  async close(): Promise<number> {
    this.#kinds.end()
    this.flushFresh()
    this.#countLost()
    const unwritten = await this.#file.close()
    this.#dropped += unwritten
    if (unwritten > 0) this.#options.log.error(lossText(this.#options.destination, unwritten))
    return unwritten
  }

  #openFile(): LineFile {
    const { destination, log } = this.#options
    try {
      return new LineFile({
        destination,
        onTrouble: (error) => this.#onTrouble(error),
        onRecovery: () => log.warn(recoveryText(destination, this.#lost.lines)),
      })
    } catch (error) {
      throw new Error(startText(error as NodeJS.ErrnoException))
    }
  }

  #onTrouble(error: NodeJS.ErrnoException): void {
    const { destination, log } = this.#options
    this.#trouble = { at: new Date().toISOString(), message: error.message }
    log.error(troubleText(destination, error))
  }

  get #surroundings(): Surroundings {
    return { mode: this.#mode, userName: this.#options.userName }
  }

  /** Ends all summaries before the mode changes: a summary has blocks of one mode. */
  #change(mode: Mode): void {
    this.#kinds.end()
    this.flushFresh()
    this.#mode = mode
  }

  #write(event: Fields): void {
    const isTaken = this.#takes(event)
    this.#last.note(event, this.#line)
    if (isTaken) return
    this.#dropped++
    this.#lost.lines++
    this.#lost.blocks += event['checkvalve.repeat']
  }

  #countLost(): void {
    if (this.#lost.lines > 0 && this.#takes(lostEvent(this.#lost, this.#surroundings)))
      this.#lost = { lines: 0, blocks: 0 }
  }

  /** @returns false when the line is lost */
  #takes(event: Fields): boolean {
    this.#logger.warn(event)
    return this.#isTaken
  }
}
