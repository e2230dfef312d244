import type { WrittenRule } from '../config/show.js'
import type { Reason } from '../core/policy/policy.js'
import type { KernelCounter } from '../core/ruleset/ruleset.js'
import type { LogTrouble } from '../records/block-log/block-log.js'
import type { MirrorStatus } from './mirror-status.js'

export type Mode = 'observe' | 'enforce'

/** What the running service says of itself. Times are in RFC 3339. */
export interface Status {
  readonly version: string
  /** Since when it runs. */
  readonly started: string
  readonly mode: Mode
  /** That of the configuration, where it was changed at run time. */
  readonly configuredMode?: Mode
  /** Whether the last canary connection was blocked; undefined: not tried yet. */
  readonly proven?: boolean | undefined
  /** What is wrong, and what to do. */
  readonly notes: readonly string[]
  readonly reload: ReloadStatus
  readonly verdicts: readonly VerdictStatus[]
  /** Those with the most blocks first. */
  readonly blockedUsers: readonly UserStatus[]
  /** The last line of the block log about each user and unit, the newest last. */
  readonly lastBlocks: readonly Readonly<Record<string, unknown>>[]
  /** Runtime entries, as they could stand in a file. */
  readonly allow: readonly WrittenRule[]
  /** Packets by the paths they took in the kernel without the service; undefined where they cannot be read now. */
  readonly kernel?: Partial<Readonly<Record<KernelCounter, number>>> | undefined
  readonly queue: QueueState
  readonly sessions: SessionsStatus
  readonly log: LogStatus
  /** Addresses of the resolvers whose answers count. */
  readonly resolvers: readonly string[]
  readonly mirrors: readonly MirrorStatus[]
  /** So many more there are. */
  readonly moreMirrors: number
}

/** Packets. */
export interface Counted {
  readonly total: number
  readonly lastMinute: number
}

export interface VerdictStatus extends Counted {
  readonly verdict: 'accept' | 'block' | 'would-block'
  readonly reason: Reason
}

export interface UserStatus extends Counted {
  /** A name, a user id, `unknown`, or `other` for all further ones. */
  readonly user: string
  /** When this has begun, without a break of a quarter of an hour since; and the last one. */
  readonly since: string
  readonly last: string
}

export interface ReloadStatus {
  /** When the configuration was read last. */
  readonly at: string
  /** What was wrong with it then, `file:line: key: reason`; empty: it was taken. */
  readonly problems: readonly string[]
  /** When the one in force was taken. */
  readonly takenAt: string
}

export interface QueueState {
  readonly number: number
  readonly form: 'native' | 'xtables'
  readonly maxLength: number
  /** What the kernel counts; undefined where it cannot be read. */
  readonly waiting?: number | undefined
  readonly dropped?: number | undefined
  readonly userDropped?: number | undefined
}

export interface SessionsStatus {
  readonly tcp: number
  readonly udp: number
  readonly capacity: number
  readonly evicted: number
  /** Connections that the kernel tracks; undefined where it tracks none. */
  readonly tracked?: number | undefined
  /** 0: no limit. */
  readonly trackedAtMost?: number | undefined
}

export interface LogStatus {
  readonly destination: string
  /** Blocks that are told one by one; in sums of their kind; in sums of their user only. Together they are all. */
  readonly told: number
  readonly summed: number
  readonly suppressed: number
  /** Lines that were lost. */
  readonly dropped: number
  /** The last time that it could not be written. */
  readonly trouble?: LogTrouble | undefined
}
