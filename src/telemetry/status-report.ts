import { formatPortRange, formatPrefix } from '../core/packet/address-text.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../core/packet/ip.js'
import { NTP_PORT } from '../core/packet/ntp.js'
import { asksForTime, DNS_PORT, isForQueries } from '../core/policy/infrastructure-rules.js'
import { type Policy, resolversOf } from '../core/policy/policy.js'
import type { RuleSpec } from '../core/policy/rule.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { KernelCounter } from '../core/ruleset/ruleset.js'
import { SOURCES } from '../core/session/session-table.js'
import type { ConntrackUsage } from '../kernel/conntrack/usage.js'
import type { QueueStatus } from '../kernel/proc/queue-counters.js'
import type { Canary } from '../packet-path/canary.js'
import { writtenEntries } from '../policy/overlay.js'
import type { PolicyInForce } from '../policy/policy-in-force.js'
import type { BlockLogStats, LogTrouble } from '../records/block-log/block-log.js'
import type { InboundStatistics } from '../sessions/inbound-watch.js'
import { VERSION } from '../system/version.js'
import { ActivityTracker } from './activity.js'
import { CachedValue } from './cached-value.js'
import type { ContainmentSources } from './containment-metrics.js'
import { LastMinute } from './last-minute.js'
import { userLabel } from './metrics.js'
import { listMirrors, type MirrorList } from './mirror-status.js'
import type {
  LogStatus,
  QuarantineStatus,
  ReloadStatus,
  SessionsStatus,
  Status,
  UserStatus,
  VerdictStatus,
} from './status.js'

/** Users that are listed. */
const USERS_AT_MOST = 10
/** Maximum age of expensive values, in milliseconds. */
const AGE_MS = 1000

export interface StatusSources extends ContainmentSources {
  readonly inForce: PolicyInForce
  readonly form: 'native' | 'xtables'
  readonly canary: Pick<Canary, 'proven' | 'proofs'>
  readonly counts: VerdictCounts
  readonly userName: (uid: number) => string | undefined
  readonly log: () => BlockLogStats
  /** See BlockLog. */
  readonly lastBlocks: () => readonly string[]
  readonly logTrouble: () => LogTrouble | undefined
  /** As for the metrics. */
  readonly kernelCounters: () => Promise<ReadonlyMap<KernelCounter, number> | undefined>
  readonly queue: () => QueueStatus | undefined
  readonly inbound: () => InboundStatistics
  readonly conntrack: () => ConntrackUsage | undefined
}

/** Puts together what `checkvalve status` shows. */
export class StatusReport {
  readonly #sources: StatusSources
  readonly #started = new Date().toISOString()
  readonly #verdicts = new LastMinute<string>()
  readonly #users = new LastMinute<number | undefined>()
  readonly #activity = new ActivityTracker<number | undefined>()
  readonly #kernel: CachedValue<ReadonlyMap<KernelCounter, number> | undefined>
  readonly #mirrors: CachedValue<MirrorList>
  #reload: ReloadStatus = { at: this.#started, takenAt: this.#started, problems: [], needsRestart: [] }

  constructor(sources: StatusSources) {
    this.#sources = sources
    this.#kernel = new CachedValue(AGE_MS, sources.kernelCounters)
    this.#mirrors = new CachedValue(AGE_MS, () => this.#listMirrors())
  }

  /** To be called each second. */
  tick(): void {
    const now = performance.now()
    this.#verdicts.note(this.#sources.counts.byReason(), now)
    this.#users.note(this.#sources.counts.blocksByUser(), now)
    this.#activity.note(this.#sources.counts.blocksByUser(), now)
  }

  /**
   * @param problems why the configuration was refused, a line each; empty: it was taken
   * @param needsRestart see ReloadStatus
   */
  noteReload(problems: readonly string[], needsRestart: readonly string[] = []): void {
    const at = new Date().toISOString()
    const isTaken = problems.length === 0
    this.#reload = isTaken ? { at, takenAt: at, problems, needsRestart } : { ...this.#reload, at, problems }
  }

  async status(): Promise<Status> {
    const { inForce, canary } = this.#sources
    const { configured } = inForce
    const [kernel, mirrors] = await Promise.all([this.#kernel.value(), this.#mirrors.value()])
    const { config, host, rules } = inForce
    return {
      version: VERSION,
      started: this.#started,
      mode: config.mode,
      ...(configured.mode !== config.mode && { configuredMode: configured.mode }),
      proven: canary.proven,
      proofs: canary.proofs,
      notes: [...config.notes, ...host.notes(config)],
      reload: this.#reload,
      verdicts: this.#verdictsNow(),
      blockedUsers: this.#usersNow(),
      quarantine: this.#quarantineNow(),
      lastBlocks: this.#sources.lastBlocks().map((line) => JSON.parse(line)),
      allow: writtenEntries(inForce.overlay, this.#sources.userName),
      kernel: kernel && Object.fromEntries(kernel),
      queue: this.#queueNow(),
      sessions: this.#sessionsNow(),
      log: this.#logNow(),
      resolvers: resolversOf(rules.policy).map(formatPrefix),
      upstreams: placesOf(
        rules.policy,
        ({ reason, ports }) => reason === 'resolver' && !isForQueries({ reason, ports }),
      ),
      timeServers: placesOf(rules.policy, asksForTime),
      ...mirrors,
    }
  }

  #listMirrors(): Promise<MirrorList> {
    const { config, host, learned } = this.#sources.inForce
    return listMirrors(config, host.facts.mirrors, {
      targets: (service) => learned.targets(service),
      addresses: (name) => learned.current(name),
      names: () => learned.known,
    })
  }

  #verdictsNow(): VerdictStatus[] {
    const now = performance.now()
    return [...this.#sources.counts.byReason()].map(([key, total]) => {
      const [verdict, reason] = key.split(' ') as [VerdictStatus['verdict'], VerdictStatus['reason']]
      return { verdict, reason, total, lastMinute: this.#verdicts.of(key, total, now) }
    })
  }

  #usersNow(): UserStatus[] {
    const { counts, userName } = this.#sources
    const now = performance.now()
    const timeOf = (moment: number) => new Date(Date.now() - (now - moment)).toISOString()
    return [...counts.blocksByUser()]
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, USERS_AT_MOST)
      .map(([uid, total]) => {
        const { since, last } = this.#activity.of(uid, total, now)
        return {
          user: userLabel(uid, userName),
          total,
          lastMinute: this.#users.of(uid, total, now),
          since: timeOf(since),
          last: timeOf(last),
        }
      })
  }

  #quarantineNow(): QuarantineStatus {
    const { containment, userName } = this.#sources
    const { alerts, quarantined } = containment()
    const list = quarantined.map(({ uid, cgroup, until }) => ({
      user: userLabel(uid, userName),
      unit: cgroup?.slice(cgroup.lastIndexOf('/') + 1),
      until: new Date(until).toISOString(),
    }))
    return { alerts, users: list }
  }

  #queueNow(): Status['queue'] {
    const { queue, form, inForce } = this.#sources
    const { first, maxLength } = inForce.config.queue
    return { number: first, form, maxLength, ...queue() }
  }

  #sessionsNow(): SessionsStatus {
    const { inbound, conntrack, inForce } = this.#sources
    const { sessions } = inbound()
    const sizeOf = (protocol: typeof IPPROTO_TCP | typeof IPPROTO_UDP) =>
      SOURCES.reduce((sum, source) => sum + sessions.sizeOf(protocol, source), 0)
    const usage = conntrack()
    return {
      tcp: sizeOf(IPPROTO_TCP),
      udp: sizeOf(IPPROTO_UDP),
      capacity: inForce.config.sessions.capacity,
      evicted: sessions.evicted,
      tracked: usage?.entries,
      trackedAtMost: usage?.limit,
    }
  }

  #logNow(): LogStatus {
    const { log, logTrouble, inForce } = this.#sources
    const { destination } = inForce.config.log
    return { destination, ...log(), trouble: logTrouble() }
  }
}

/** Returns the destinations of rules as text, with their port where it is no usual one. */
function placesOf({ rules }: Policy, isWanted: (spec: RuleSpec) => boolean): string[] {
  const places = rules.flatMap(({ spec }) => {
    if (!isWanted(spec)) return []
    const ports = spec.ports.map(formatPortRange).join()
    const suffix = USUAL_PORTS.has(ports) ? '' : ` port ${ports}${spec.protocol === 'tcp' ? '/tcp' : ''}`
    const domains = spec.domains.map((domain) => `*.${domain}`)
    return [...spec.prefixes.map(formatPrefix), ...spec.names, ...domains].map((each) => each + suffix)
  })
  return [...new Set(places)]
}

const USUAL_PORTS = new Set([`${DNS_PORT}`, `${NTP_PORT}`])
