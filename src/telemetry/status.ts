import type { WrittenRule } from '../config/show.js'
import type { Reason } from '../core/policy/rule.js'
import type { KernelCounter } from '../core/ruleset/ruleset.js'
import type { Proofs } from '../packet-path/canary.js'
import type { LogTrouble } from '../records/block-log/block-log.js'
import type { MirrorStatus } from './mirror-status.js'

export type Mode = 'observe' | 'enforce'

/** The status of the running service, as GET /v1/status returns it. Times are in RFC 3339. */
export interface Status {
  readonly version: string
  /** Start of the service. */
  readonly started: string
  readonly mode: Mode
  /** The mode in the configuration, when the mode was changed at run time. */
  readonly configuredMode?: Mode
  /**
   * Whether the last canary connections were blocked, of all families that have a route; undefined: none was
   * tried yet, or no family has a route.
   */
  readonly proven?: boolean | undefined
  /** The same for each family. Missing in the answer of an older service. */
  readonly proofs?: Proofs
  /** Problems on this host, each with what to do. */
  readonly notes: readonly string[]
  readonly reload: ReloadStatus
  readonly verdicts: readonly VerdictStatus[]
  /** Users with the most blocks, in this order. */
  readonly blockedUsers: readonly UserStatus[]
  /** Alerts, and who is in quarantine. An older service does not say it. */
  readonly quarantine?: QuarantineStatus | undefined
  /** The last line of the block log about each user and unit, the newest last. */
  readonly lastBlocks: readonly Readonly<Record<string, unknown>>[]
  /** Runtime entries, in the form of the configuration. */
  readonly allow: readonly WrittenRule[]
  /** Packets that the kernel handled itself, by path; undefined when the counters cannot be read. */
  readonly kernel?: Partial<Readonly<Record<KernelCounter, number>>> | undefined
  readonly queue: QueueState
  readonly sessions: SessionsStatus
  readonly log: LogStatus
  /** Addresses of the resolvers whose answers count. */
  readonly resolvers: readonly string[]
  /** Servers that a resolver on this host asks over TLS or at another port: `192.0.2.53 port 853/tcp`. */
  readonly upstreams?: readonly string[] | undefined
  /** Names and addresses of time servers. An older service does not list them. */
  readonly timeServers?: readonly string[] | undefined
  readonly mirrors: readonly MirrorStatus[]
  /** Number of further mirrors. */
  readonly moreMirrors: number
}

/** Numbers of packets. */
export interface Counted {
  readonly total: number
  readonly lastMinute: number
}

export interface VerdictStatus extends Counted {
  readonly verdict: 'accept' | 'block' | 'would-block'
  readonly reason: Reason
}

export interface UserStatus extends Counted {
  /** A name, a user id, `unknown` (no user), or `other` (all further users). */
  readonly user: string
  /** First and last block of the current run; a break of 15 minutes starts a new run. */
  readonly since: string
  readonly last: string
}

export interface QuarantineStatus {
  /** Alerts since the start of the service. */
  readonly alerts: number
  readonly users: readonly QuarantinedUser[]
}

export interface QuarantinedUser {
  /** A name or a user id. */
  readonly user: string
  /** The unit that is in quarantine, too, where it is known: `nginx.service`. */
  readonly unit?: string | undefined
  readonly until: string
}

export interface ReloadStatus {
  /** The last time that the configuration was read. */
  readonly at: string
  /** Why it was refused, `file:line: key: reason`; empty: it was taken. */
  readonly problems: readonly string[]
  /** The time when the configuration in force was taken. */
  readonly takenAt: string
  /** Changed settings that are read at start only: `metrics`. An older service does not list them. */
  readonly needsRestart?: readonly string[]
}

export interface QueueState {
  readonly number: number
  readonly form: 'native' | 'xtables'
  readonly maxLength: number
  /** Counters of the kernel; undefined when they cannot be read. */
  readonly waiting?: number | undefined
  readonly dropped?: number | undefined
  readonly userDropped?: number | undefined
}

export interface SessionsStatus {
  readonly tcp: number
  readonly udp: number
  readonly capacity: number
  readonly evicted: number
  /** Connections that the kernel tracks; undefined when connection tracking is not loaded. */
  readonly tracked?: number | undefined
  /** Maximum number of tracked connections; 0: no limit. */
  readonly trackedAtMost?: number | undefined
}

export interface LogStatus {
  readonly destination: string
  /**
   * Blocks with a line of their own, in summaries of their kind, and in summaries of their user only:
   * together all blocks.
   */
  readonly told: number
  readonly summed: number
  readonly suppressed: number
  /** Lines that were lost. */
  readonly dropped: number
  /** The last time that the block log could not be written. */
  readonly trouble?: LogTrouble | undefined
}
