import type { Containment } from '../containment/containment.js'
import { ResolvedNames } from '../core/dns/resolved-names.js'
import type { Family, Words } from '../core/packet/ip.js'
import type { AcceptedFlows } from '../core/record/accepted-flows.js'
import { VerdictCounts } from '../core/record/verdict-counts.js'
import type { QueueForm } from '../core/ruleset/ruleset.js'
import type { Inbound } from '../core/session/client-replies.js'
import { UserNamespace } from '../kernel/proc/user-namespace.js'
import type { PolicyInForce } from '../policy/policy-in-force.js'
import type { BlockLog } from '../records/block-log/block-log.js'
import type { TurnedAround } from '../sessions/turned-around.js'
import type { ServiceLog } from '../system/service-log.js'
import { Canary } from './canary.js'
import { DnsWatch } from './dns-watch.js'
import { FaultLog } from './fault-log.js'
import { JudgingHeartbeat } from './judging-heartbeat.js'
import { Queues } from './queues.js'
import { Valve } from './valve.js'

/** Users whose resolved names are remembered for the log, and the addresses of each user. */
const MAX_USERS = 64
const MAX_ADDRESSES = 512

export interface PacketPathOptions {
  readonly form: QueueForm
  readonly inForce: PolicyInForce
  readonly inbound: Inbound
  readonly turnedAround: Pick<TurnedAround, 'is' | 'learn'>
  readonly blockLog: BlockLog
  readonly containment: Pick<Containment, 'note' | 'holds' | 'flush'>
  readonly passed: AcceptedFlows
  readonly log: ServiceLog
  /** Called for each fault of the program, logged or not. */
  readonly onFault: () => void
  /** Called with the seconds from the arrival of a batch of packets to its verdicts. */
  readonly onBatch: (seconds: number) => void
}

/**
 * Builds the parts that a queued packet passes on its way to the verdict, and holds what they count and
 * remember.
 */
export class PacketPath {
  readonly counts = new VerdictCounts()
  readonly answers = { learned: 0, held: 0, missed: 0 }
  readonly seen = new ResolvedNames(MAX_USERS, MAX_ADDRESSES)
  readonly queues = new Queues()
  readonly canary: Canary
  readonly #options: PacketPathOptions
  readonly #faults: FaultLog
  readonly #valve: Valve
  readonly #dnsWatch: DnsWatch
  readonly #heartbeat = new JudgingHeartbeat()

  constructor(options: PacketPathOptions) {
    const { inForce, log, onFault } = options
    this.#options = options
    this.canary = new Canary({ counts: this.counts, log, policy: () => inForce.rules.policy })
    this.#faults = new FaultLog({ mode: () => inForce.config.mode, log, count: onFault })
    this.#valve = this.#createValve()
    this.#dnsWatch = this.#createDnsWatch()
  }

  /** Binds the queues: from then on packets are judged. @throws QueueOpenError (rejects) */
  async open(): Promise<void> {
    await this.attribution.warmUp()
    await this.queues.open(this.#options.inForce.config.queue, this.#valve, this.#dnsWatch)
  }

  get attribution(): Valve['attribution'] {
    return this.#valve.attribution
  }

  /**
   * Returns the name by which a user last found an address: the user asked for it, or this host's own
   * resolver did.
   */
  readonly domainOf = (family: Family, words: Words, uid: number): string | undefined =>
    this.seen.nameOf(family, words, [uid, ...this.#options.inForce.host.facts.resolverUsers], Date.now())

  /** Shows the kernel that queries are judged. To be called each second. */
  beat(): void {
    this.#heartbeat.beat(this.#options.inForce.rules.policy)
  }

  /** Forgets queries without an answer, and connections without queries. */
  expire(): void {
    const now = Date.now()
    this.#dnsWatch.expire(now)
    this.#valve.expire(now)
  }

  /** Releases all held answers. */
  release(): void {
    this.#dnsWatch.release()
  }

  close(): void {
    this.#heartbeat.close()
    this.queues.close()
    this.#valve.close()
  }

  #createValve(): Valve {
    const { form, inForce, inbound, turnedAround, blockLog, containment, passed, onBatch } = this.#options
    return new Valve(inForce, {
      ...{ form, inbound, turnedAround, containment, passed, onBatch, used: inForce.used },
      users: UserNamespace.ofProcess(),
      counts: this.counts,
      log: blockLog,
      refuses: () => inForce.config.block === 'reject',
      domainOf: this.domainOf,
      onFault: (error, isJudged) => this.#faults.note(error as Error, isJudged),
    })
  }

  #createDnsWatch(): DnsWatch {
    const { form, inForce } = this.#options
    return new DnsWatch({
      form,
      mask: inForce.config.firewall.mark.mask,
      valve: this.#valve,
      learned: inForce.learned,
      seen: this.seen,
      isTrusted: (uid, packet) => inForce.isTrusted(uid, packet),
      budget: () => {
        const { holdAnswers, holdTime } = inForce.config.dns
        return holdAnswers ? holdTime * 1000 : 0
      },
      stats: this.answers,
      onFault: (error) => this.#faults.note(error as Error),
    })
  }
}
