import { ResolvedNames } from '../core/dns/resolved-names.js'
import type { Family, Words } from '../core/packet/ip.js'
import type { AcceptedFlows } from '../core/record/accepted-flows.js'
import { VerdictCounts } from '../core/record/verdict-counts.js'
import type { QueueForm } from '../core/ruleset/ruleset.js'
import type { Inbound } from '../core/session/client-replies.js'
import { UserNamespace } from '../kernel/proc/user-namespace.js'
import type { PolicyInForce } from '../policy/policy-in-force.js'
import type { BlockLog } from '../records/block-log/block-log.js'
import type { ServiceLog } from '../system/service-log.js'
import { Canary } from './canary.js'
import { DnsWatch } from './dns-watch.js'
import { FaultLog } from './fault-log.js'
import { JudgingHeartbeat } from './judging-heartbeat.js'
import { Queues } from './queues.js'
import { Valve } from './valve.js'

/** Users whose names for addresses are remembered for the log, and addresses of each. */
const SEEN_USERS = 64
const SEEN_ADDRESSES = 512

export interface PacketPathOptions {
  readonly form: QueueForm
  readonly inForce: PolicyInForce
  readonly inbound: Inbound
  readonly blockLog: BlockLog
  readonly passed: AcceptedFlows
  readonly log: ServiceLog
  /** A fault of the program, logged or not. */
  readonly onFault: () => void
  /** Seconds from the arrival of a batch of packets to its verdicts. */
  readonly onBatch: (seconds: number) => void
}

/** The parts that a queued packet meets on its way to the verdict, and what they count and remember. */
export class PacketPath {
  readonly counts = new VerdictCounts()
  readonly answers = { learned: 0, held: 0, missed: 0 }
  readonly seen = new ResolvedNames(SEEN_USERS, SEEN_ADDRESSES)
  readonly queues = new Queues()
  readonly canary: Canary
  readonly #options: PacketPathOptions
  readonly #faults: FaultLog
  readonly #valve: Valve
  readonly #resolvers: DnsWatch
  readonly #heartbeat = new JudgingHeartbeat()

  constructor(options: PacketPathOptions) {
    const { inForce, log, onFault } = options
    this.#options = options
    this.canary = new Canary(this.counts, log)
    this.#faults = new FaultLog({ mode: () => inForce.config.mode, log, count: onFault })
    this.#valve = this.#createValve()
    this.#resolvers = this.#createResolverWatch()
  }

  /** Binds the queues: packets are judged from then on. @throws QueueOpenError (rejects) */
  open(): Promise<void> {
    return this.queues.open(this.#options.inForce.config.queue, this.#valve, this.#resolvers)
  }

  get attribution(): Valve['attribution'] {
    return this.#valve.attribution
  }

  /** The name by which a user last found an address: as he himself has asked, or this host's own resolver for anybody. */
  readonly domainOf = (family: Family, words: Words, uid: number): string | undefined =>
    this.seen.nameOf(family, words, [uid, ...this.#options.inForce.host.resolverUsers], Date.now())

  /** Shows the kernel that questions are being read. To be called each second. */
  beat(): void {
    this.#heartbeat.beat(this.#options.inForce.rules.policy)
  }

  /** Forgets questions whose answer has not come in time. */
  expire(): void {
    this.#resolvers.expire(Date.now())
  }

  /** Lets all answers go on that are held. */
  release(): void {
    this.#resolvers.release()
  }

  close(): void {
    this.#heartbeat.close()
    this.queues.close()
    this.attribution.close()
  }

  #createValve(): Valve {
    const { form, inForce, inbound, blockLog, passed, onBatch } = this.#options
    return new Valve(inForce, {
      ...{ form, inbound, passed, onBatch },
      users: UserNamespace.ofProcess(),
      counts: this.counts,
      log: blockLog,
      domainOf: this.domainOf,
      onFault: (error, isJudged) => this.#faults.note(error as Error, isJudged),
    })
  }

  #createResolverWatch(): DnsWatch {
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
