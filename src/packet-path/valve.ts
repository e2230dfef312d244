import { NF_ACCEPT, NF_REPEAT, type QueuedPacket, type Verdict } from 'node-netfilter-queue'
import { type Family, IPPROTO_TCP, type Words } from '../core/packet/ip.js'
import { decode, Packet } from '../core/packet/packet.js'
import type { Sender, SenderLookup } from '../core/packet/sender.js'
import { type Decision, decide, MALFORMED } from '../core/policy/policy.js'
import type { AcceptedFlows, Details } from '../core/record/accepted-flows.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { QueueForm } from '../core/ruleset/ruleset.js'
import { type Inbound, noteCall } from '../core/session/client-replies.js'
import type { UserNamespace } from '../kernel/proc/user-namespace.js'
import type { ActivePolicy } from '../policy/active-policy.js'
import type { BlockLog } from '../records/block-log/block-log.js'
import { Attributor } from './attribution.js'

export interface ValveOptions {
  readonly form: QueueForm
  readonly inbound: Inbound
  readonly users: UserNamespace
  readonly counts: VerdictCounts
  readonly log: BlockLog
  readonly passed: AcceptedFlows
  /** The name by which a user last found an address. */
  readonly domainOf: (family: Family, words: Words, uid: number) => string | undefined
  /** A fault in the program: a packet could not be judged, and is or would have been blocked; or it is judged, and its sender not found out. */
  readonly onFault: (error: unknown, isJudged: boolean) => void
  /** Seconds from the arrival of a batch to its verdicts. */
  readonly onBatch: (seconds: number) => void
}

/** Where something failed, looking for the sender might fail as well. */
const NOBODY: SenderLookup = { place: 0, describe: () => ({ attribution: 'unknown' }) }

/**
 * The way of a packet through the service: bytes -> headers -> decision -> mark and verdict -> counted and logged.
 * Nothing here waits for anything.
 */
export class Valve {
  readonly #inForce: { readonly rules: ActivePolicy }
  readonly #options: ValveOptions
  /** How a judged packet leaves the queue. A rule of xtables would otherwise hide the host's own rules below it. */
  readonly pass: Verdict
  /** The packet that was judged last, and who has sent it. */
  readonly packet = new Packet()
  readonly sender: Sender = {
    uid: -1,
    known: false,
    isReply: false,
    device: 0,
    isOf: (units) => this.attribution.isOf(units),
  }
  /** Of the packet that was judged last. */
  readonly attribution = new Attributor(this.packet, this.sender)
  #attributed: SenderLookup = NOBODY
  #batchStart = 0

  /** @param inForce the rules that are in force at the moment */
  constructor(inForce: { readonly rules: ActivePolicy }, options: ValveOptions) {
    this.#inForce = inForce
    this.#options = options
    this.pass = options.form === 'xtables' ? NF_REPEAT : NF_ACCEPT
  }

  /**
   * Judges one packet. The verdict always lets it go on: the mark tells the chain `verdict` what to do with it,
   * so that a refusal comes from the kernel, with an ICMP error for the program that asked.
   */
  readonly onPacket = (queued: QueuedPacket): Verdict => {
    this.judge(queued, false)
    return this.pass
  }

  /** The same, for a queue of another kind. @param single whether it shows large packets as the ones they will be cut into */
  judge(queued: QueuedPacket, single: boolean): Decision {
    if (this.#batchStart === 0) this.#batchStart = performance.now()
    const { policy, marks } = this.#inForce.rules
    const { packet, sender } = this
    packet.single = single
    sender.uid = this.#options.users.inside(queued.uid)
    sender.known = (queued.mark & marks.known) !== 0
    sender.isReply = (queued.mark & marks.reply) !== 0
    sender.device = queued.outDevice
    this.attribution.begin()
    const now = Date.now()
    const malformed = decode(queued.bytes, queued.start, queued.end, queued.length, packet)
    const decision = malformed ? MALFORMED : decide(policy, packet, sender, this.#options.inbound, now)
    this.#mark(queued, decision, packet)
    if (decision.verdict === 'accept' || policy.mode === 'observe') noteCall(packet, this.#options.inbound)
    this.#tell(decision, now)
    return decision
  }

  /** Blocks a packet that could not be judged; in mode observe not even that. */
  readonly onError = (error: unknown, queued: QueuedPacket): Verdict => {
    this.#mark(queued, MALFORMED, this.packet)
    this.#record(this.packet, this.sender.uid, MALFORMED, NOBODY, Date.now())
    this.#options.onFault(error, false)
    return this.pass
  }

  /** After the verdicts of a batch were sent: the time for what may cost some. */
  readonly onBatch = (): void => {
    if (this.#batchStart === 0) return
    const seconds = (performance.now() - this.#batchStart) / 1000
    this.#batchStart = 0
    this.#options.onBatch(seconds)
    this.#options.log.flushFresh()
  }

  #mark(queued: QueuedPacket, decision: Decision, packet: Packet): void {
    const { policy, marks } = this.#inForce.rules
    let state: number
    if (decision.verdict === 'accept') state = decision.remember ? marks.approvedNow : marks.approvedOnce
    else if (policy.mode === 'enforce') state = marks.blocked
    // A TCP connection that would have been refused is told of once; datagrams are told of one by one.
    else state = packet.protocol === IPPROTO_TCP ? marks.approvedNow : marks.approvedOnce
    queued.mark = ((queued.mark & ~marks.mask) | state) >>> 0
  }

  /** A verdict stands, whatever the look for the sender brings. */
  #tell(decision: Decision, now: number): void {
    try {
      this.#record(this.packet, this.sender.uid, decision, this.attribution, now)
    } catch (error) {
      this.#record(this.packet, this.sender.uid, decision, NOBODY, now)
      this.#options.onFault(error, true)
    }
  }

  /** First what can fail: a packet that is told of anew must not be counted twice. */
  #record(packet: Packet, uid: number, decision: Decision, attributed: SenderLookup, now: number): void {
    const { mode } = this.#inForce.rules.policy
    this.#attributed = attributed
    if (decision.verdict === 'block' && decision.reason !== 'canary')
      this.#options.log.note(packet, uid, decision, mode, attributed)
    if (decision.verdict === 'accept') this.#options.passed.note(packet, uid, decision, now, this.#details)
    this.#options.counts.add(packet, uid, decision, mode === 'observe')
  }

  readonly #details = (): Details => {
    const { family, destination } = this.packet
    return {
      unit: this.#attributed.unit,
      domain: this.#options.domainOf(family, destination, this.sender.uid),
    }
  }
}
