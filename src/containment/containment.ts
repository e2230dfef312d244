import type { Config } from '../config/config.js'
import type { Packet } from '../core/packet/packet.js'
import type { SenderLookup } from '../core/packet/sender.js'
import type { Policy } from '../core/policy/policy.js'
import type { Decision } from '../core/policy/rule.js'
import type { NotedBlock } from '../core/record/block-summary.js'
import { type Burst, Tripwire } from '../core/record/tripwire.js'
import type { Quarantined } from '../core/ruleset/ruleset.js'
import type { Firewall } from '../kernel/nftables/firewall.js'
import { refusedByUser } from '../kernel/nftables/nft.js'
import type { BlockLog } from '../records/block-log/block-log.js'
import type { ServiceLog } from '../system/service-log.js'
import { isCgroup, QuarantineFile } from './quarantine-file.js'
import { RefusedPackets, type RefusedPacketsOptions } from './refused-packets.js'

/** Senders in quarantine at most. */
const QUARANTINED_AT_MOST = 256

export interface ContainmentOptions {
  /** The policy and the settings in force. */
  readonly policy: () => Policy
  readonly settings: () => Config['containment']
  readonly isResolver: (uid: number) => boolean
  readonly domainOf: (packet: Packet, uid: number) => string | undefined
  readonly firewall: Pick<Firewall, 'contain'>
  readonly blockLog: Pick<BlockLog, 'alert' | 'noteRefused'>
  readonly counts: RefusedPacketsOptions['counts']
  /** The state directory. */
  readonly directory: string
  readonly log: Pick<ServiceLog, 'info' | 'warn' | 'error'>
}

/** Recognises who scans, tells it, and puts him in quarantine where the operator wants that. */
export class Containment {
  /** Alerts since the start. */
  alerts = 0
  readonly #options: ContainmentOptions
  readonly #tripwire: Tripwire
  readonly #file: QuarantineFile
  readonly #refused: RefusedPackets
  #quarantined: readonly Quarantined[]
  /** The users in quarantine. */
  #users: ReadonlySet<number>

  constructor(options: ContainmentOptions) {
    this.#options = options
    this.#tripwire = new Tripwire({
      limits: options.settings,
      isResolver: options.isResolver,
      domainOf: options.domainOf,
    })
    this.#file = new QuarantineFile(options.directory, options.log)
    this.#refused = new RefusedPackets({
      read: refusedByUser,
      counts: options.counts,
      blockLog: options.blockLog,
      isQuarantined: (uid) => this.holds(uid),
    })
    this.#quarantined = this.#file.read(Date.now())
    this.#users = usersOf(this.#quarantined)
  }

  /** The senders in quarantine. */
  get quarantined(): readonly Quarantined[] {
    return this.#quarantined
  }

  /** Whether a user is in quarantine and refused everything. In mode observe nobody is. */
  holds(uid: number): boolean {
    return this.#users.size > 0 && this.#users.has(uid) && this.#options.policy().mode === 'enforce'
  }

  /** Notes a block. For the packet path. @param noted the outcome of the block log */
  note(packet: Packet, uid: number, decision: Decision, sender: SenderLookup, noted: NotedBlock): void {
    this.#tripwire.note(packet, uid, decision, sender, noted, performance.now())
  }

  /** Acts on the bursts that have begun. To be called after the verdicts were sent. */
  flush(): void {
    for (const burst of this.#tripwire.take()) this.#onBurst(burst)
  }

  /** Brings the quarantine of an earlier run into the kernel. To be called when the rules are loaded. */
  async start(): Promise<void> {
    if (this.#quarantined.length > 0) await this.#options.firewall.contain(this.#quarantined)
  }

  /** Ends what is over. To be called each second. @param now milliseconds of a monotonic clock */
  async tick(now: number): Promise<void> {
    for (const burst of this.#tripwire.tick(now)) this.#options.blockLog.alert({ type: 'end', burst })
    const over = this.#quarantined.filter(({ until }) => until <= Date.now())
    if (over.length > 0) {
      for (const { uid } of over) this.#options.blockLog.alert({ type: 'released', uid, by: 'time' })
      await this.#set(this.#quarantined.filter((each) => !over.includes(each)))
    }
    await Promise.all([this.#file.tick(now), this.#refused.tick(now)])
  }

  /** Ends the quarantine of a user. @returns false when the user is in none @throws CommandError (rejects) of nft */
  async release(uid: number): Promise<boolean> {
    if (!this.#users.has(uid)) return false
    await this.#set(this.#quarantined.filter((each) => each.uid !== uid))
    this.#options.blockLog.alert({ type: 'released', uid, by: 'operator' })
    return true
  }

  /** Writes what is still to be written, while the table is there. */
  async end(): Promise<void> {
    const now = performance.now()
    await this.#refused.read(now).catch(() => {})
    this.#refused.end(now)
    await this.#file.write()
  }

  #onBurst(burst: Burst): void {
    const { policy, settings, blockLog, log } = this.#options
    const { action, duration } = settings()
    const isSpared = burst.uid < 0 || policy().sparedUsers.includes(burst.uid)
    const wanted = action === 'quarantine' && !isSpared
    const until = wanted ? Date.now() + duration * 1000 : undefined
    this.alerts++
    const message = blockLog.alert({ type: 'begin', burst, until })
    log.warn(message)
    if (until !== undefined && policy().mode === 'enforce') this.#quarantine(burst, until)
  }

  #quarantine({ uid, cgroup }: Burst, until: number): void {
    const others = this.#quarantined.filter((each) => each.uid !== uid || each.cgroup !== cgroup)
    const entry = { uid, until, cgroup: isCgroup(cgroup) ? cgroup : undefined }
    this.#set([...others, entry].slice(-QUARANTINED_AT_MOST)).catch(({ message }: Error) =>
      this.#options.log.error(
        `the kernel does not take the quarantine, the service alone holds it: ${message}`,
      ),
    )
  }

  async #set(quarantined: readonly Quarantined[]): Promise<void> {
    this.#quarantined = quarantined
    this.#users = usersOf(quarantined)
    this.#file.keep(quarantined)
    await this.#options.firewall.contain(quarantined)
  }
}

const usersOf = (quarantined: readonly Quarantined[]) => new Set(quarantined.map(({ uid }) => uid))
