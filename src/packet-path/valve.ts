import { NF_ACCEPT, NF_REPEAT, type QueuedPacket, type Verdict } from 'node-netfilter-queue'
import type { Containment } from '../containment/containment.js'
import { QueryStreams } from '../core/dns/query-streams.js'
import { turnIntoRefusal } from '../core/dns/refused-answer.js'
import { writeChecksum } from '../core/packet/checksum.js'
import { type Family, IPPROTO_TCP, type SocketLookUp, type Words } from '../core/packet/ip.js'
import { decode, Packet, TCPHDR_ACK, TCPHDR_SYN } from '../core/packet/packet.js'
import type { Sender, SenderLookup } from '../core/packet/sender.js'
import { ROOT } from '../core/policy/inherited-sockets.js'
import {
  CANARY,
  decide,
  FOREIGN_SOURCE,
  isByContent,
  MALFORMED,
  NAME_NOT_ALLOWED,
  NOT_ALLOWLISTED,
  type Policy,
  UNJUDGED_STREAM,
} from '../core/policy/policy.js'
import { isBlockedAgain } from '../core/policy/repeats.js'
import type { Decision, Rule } from '../core/policy/rule.js'
import type { UsedAddresses } from '../core/policy/used-addresses.js'
import type { AcceptedFlows, FlowDetails } from '../core/record/accepted-flows.js'
import type { VerdictCounts } from '../core/record/verdict-counts.js'
import type { QueueForm } from '../core/ruleset/ruleset.js'
import { type Inbound, noteOpening } from '../core/session/client-replies.js'
import type { UserNamespace } from '../kernel/proc/user-namespace.js'
import type { PolicyHolder } from '../policy/active-policy.js'
import type { BlockLog } from '../records/block-log/block-log.js'
import type { TurnedAround } from '../sessions/turned-around.js'
import { Attributor } from './attribution.js'
import { CutConnections } from './cut-connections.js'

export interface ValveOptions {
  readonly form: QueueForm
  readonly inbound: Inbound
  readonly users: UserNamespace
  readonly counts: VerdictCounts
  readonly log: BlockLog
  readonly passed: AcceptedFlows
  /** Remembers who used which addresses of names. */
  readonly used: Pick<UsedAddresses, 'note'>
  /** Recognises sockets of root that another user may have turned around. */
  readonly turnedAround: Pick<TurnedAround, 'is' | 'learn'>
  /** Recognises who scans, and holds who is in quarantine. */
  readonly containment: Pick<Containment, 'note' | 'holds' | 'flush'>
  /** Whether programs are told that they are blocked (`block: reject`). */
  readonly refuses: () => boolean
  /** Returns the name by which a user last found an address; undefined when none is known. */
  readonly domainOf: (family: Family, words: Words, uid: number) => string | undefined
  /**
   * Called for a fault in the program. The packet was not judged and is blocked; or it is judged, and its
   * attribution failed.
   */
  readonly onFault: (error: unknown, isJudged: boolean) => void
  /** Called with the seconds from the arrival of a batch to its verdicts. */
  readonly onBatch: (seconds: number) => void
}

/** The sender after a fault: another look-up might fail as well. */
const UNKNOWN_SENDER: SenderLookup = { place: 0, describe: () => ({ attribution: 'unknown' }) }

/**
 * Judges queued packets: decodes the headers, decides, sets mark and verdict, counts and logs. All of it is
 * synchronous.
 */
export class Valve {
  readonly #inForce: PolicyHolder
  readonly #options: ValveOptions
  /**
   * The verdict by which a judged packet leaves the queue. In the xtables form it is NF_REPEAT, so that rules
   * after it apply.
   */
  readonly pass: Verdict
  /** The packet that was judged last, and its sender. */
  readonly packet = new Packet()
  readonly sender: Sender = {
    uid: -1,
    known: false,
    isReply: false,
    isForeign: false,
    isQuarantined: false,
    device: 0,
    isOf: (units) => this.attribution.isOf(units),
  }
  /** Finds the sender of the packet that was judged last. */
  readonly attribution = new Attributor(this.packet, this.sender)
  readonly #streams = new QueryStreams()
  readonly #cut = new CutConnections()
  #lookup: SenderLookup = UNKNOWN_SENDER
  #batchStart = 0

  constructor(inForce: PolicyHolder, options: ValveOptions) {
    this.#inForce = inForce
    this.#options = options
    this.pass = options.form === 'xtables' ? NF_REPEAT : NF_ACCEPT
  }

  /**
   * Judges one packet. The verdict of the queue always lets it go on; the mark makes the chain `verdict`
   * accept or block it, so that the kernel refuses it with an ICMP error for the program.
   */
  readonly onPacket = (queued: QueuedPacket): Verdict => {
    this.judge(queued)
    return this.pass
  }

  /** Judges one packet of any queue. */
  judge(queued: QueuedPacket): Decision {
    if (this.#batchStart === 0) this.#batchStart = performance.now()
    const { policy, marks } = this.#inForce.rules
    const { packet, sender } = this
    packet.isWhole = queued.canSendBytes
    sender.uid = this.#options.users.inside(queued.uid)
    sender.known = (queued.mark & marks.known) !== 0
    sender.isReply = (queued.mark & marks.reply) !== 0
    sender.isForeign = (queued.mark & marks.foreign) !== 0
    sender.isQuarantined = this.#options.containment.holds(sender.uid)
    sender.device = queued.outDevice
    this.attribution.begin()
    const now = Date.now()
    const malformed = decode(queued.bytes, queued.start, queued.end, queued.length, packet)
    const decision = malformed ? MALFORMED : this.#decide(policy, now)
    this.#mark(queued, decision, packet)
    if (decision.verdict === 'accept' || policy.mode === 'observe') noteOpening(packet, this.#options.inbound)
    if (decision.rule !== undefined && decision.verdict === 'accept') this.#noteUse(decision.rule, now)
    this.#recordSafely(decision, now)
    if (decision === NAME_NOT_ALLOWED) this.#answerRefused(queued)
    return decision
  }

  /** Lets the program have an answer that its query is refused, in place of the query. */
  #answerRefused(queued: QueuedPacket): void {
    const { policy, marks } = this.#inForce.rules
    if (policy.mode !== 'enforce' || !this.#options.refuses() || !turnIntoRefusal(this.packet, queued.start))
      return
    queued.mark = ((queued.mark & ~marks.mask) | marks.approvedOnce) >>> 0
    queued.sendsBytes = true
  }

  /** Decides on the packet. Queries over TCP must go on where the judged bytes of their connection end. */
  #decide(policy: Policy, now: number): Decision {
    const { packet, sender } = this
    const decision = decide(policy, packet, sender, this.#options.inbound, now)
    if (packet.protocol !== IPPROTO_TCP) return decision
    // The canary opens a new socket for each attempt.
    if (decision === CANARY) this.#options.turnedAround.learn(...this.#ends)
    if (this.#isTurnedAround(decision)) return NOT_ALLOWLISTED
    if (!isByContent(policy, decision)) return decision
    const isTrusted = policy.trustedUsers.includes(sender.uid)
    return this.#streams.follow(packet, sender.uid, now, isTrusted) ? decision : UNJUDGED_STREAM
  }

  /** Whether root's socket opens a connection that a rule allows to root, and was used before: it may be inherited. */
  #isTurnedAround({ rule }: Decision): boolean {
    const isOpening = (this.packet.tcpFlags & (TCPHDR_SYN | TCPHDR_ACK)) === TCPHDR_SYN
    if (this.sender.uid !== ROOT || !isOpening || rule?.spec.users === undefined) return false
    return this.#options.turnedAround.is(...this.#ends)
  }

  /** The ends of the packet, and the device that it leaves by. */
  get #ends(): Parameters<SocketLookUp> {
    const { family, source, sourcePort, destination, destinationPort } = this.packet
    return [family, source, sourcePort, destination, destinationPort, this.sender.device]
  }

  close(): void {
    this.attribution.close()
    this.#cut.close()
  }

  /** Forgets connections to resolvers that have no queries any more. */
  expire(now: number): void {
    this.#streams.expire(now)
  }

  /** Notes that the sender uses an address that its rule has by a name. */
  #noteUse({ spec, fixed }: Rule, now: number): void {
    const { family, destination } = this.packet
    const { uid } = this.sender
    const hasNames = spec.names.length > 0 || spec.domains.length > 0
    if (uid !== -1 && hasNames && !fixed.has(family, destination))
      this.#options.used.note(spec.name, uid, family, destination, now)
  }

  /** Handles a fault: the packet is blocked, or accepted in mode observe. */
  readonly onError = (error: unknown, queued: QueuedPacket): Verdict => {
    this.#mark(queued, MALFORMED, this.packet)
    this.#record(this.packet, this.sender.uid, MALFORMED, UNKNOWN_SENDER, Date.now())
    this.#options.onFault(error, false)
    return this.pass
  }

  /** Called after the verdicts of a batch were sent: the time for slower work. */
  readonly onBatch = (): void => {
    if (this.#batchStart === 0) return
    const seconds = (performance.now() - this.#batchStart) / 1000
    this.#batchStart = 0
    this.#options.onBatch(seconds)
    this.#cut.end()
    this.#options.log.flushFresh()
    this.#options.containment.flush()
  }

  /** Sets the mark that carries the verdict to the kernel. */
  #mark(queued: QueuedPacket, decision: Decision, packet: Packet): void {
    const { policy, marks } = this.#inForce.rules
    let state: number
    if (decision.verdict === 'accept') {
      state = decision.remember ? marks.approvedNow : marks.approvedOnce
      if (policy.mode === 'enforce' && isByContent(policy, decision)) sendJudged(queued, packet)
    } else if (policy.mode === 'enforce') state = this.#blockedMark(decision)
    // A TCP connection that would have been blocked is recorded once; datagrams are recorded one by one.
    else state = packet.protocol === IPPROTO_TCP ? marks.approvedNow : marks.approvedOnce
    queued.mark = ((queued.mark & ~marks.mask) | state) >>> 0
  }

  /** Returns the mark of a blocked packet. */
  #blockedMark(decision: Decision): number {
    const { policy, marks, remembersBlocks } = this.#inForce.rules
    if (this.#isDropped(decision, this.packet)) return marks.dropped
    const isRepeatable =
      remembersBlocks &&
      decision === NOT_ALLOWLISTED &&
      isBlockedAgain(policy.changing, this.packet, this.sender, this.#options.inbound)
    if (!isRepeatable) return marks.blocked
    this.#inForce.rememberedAt = performance.now()
    return marks.repeatable
  }

  /** Whether a blocked packet is dropped without a refusal. */
  #isDropped(decision: Decision, packet: Packet): boolean {
    if (decision === FOREIGN_SOURCE) return true
    return decision !== MALFORMED && this.#cut.note(packet, this.sender, this.#options.inbound)
  }

  /** Records a verdict. A fault in attribution does not change it. */
  #recordSafely(decision: Decision, now: number): void {
    try {
      this.#record(this.packet, this.sender.uid, decision, this.attribution, now)
    } catch (error) {
      this.#record(this.packet, this.sender.uid, decision, UNKNOWN_SENDER, now)
      this.#options.onFault(error, true)
    }
  }

  /**
   * Records a verdict. The parts that can fail come first: a packet that is recorded again must not be
   * counted twice.
   */
  #record(packet: Packet, uid: number, decision: Decision, lookup: SenderLookup, now: number): void {
    const { mode } = this.#inForce.rules.policy
    this.#lookup = lookup
    if (decision.verdict === 'block' && decision.reason !== 'canary') {
      const noted = this.#options.log.note(packet, uid, decision, mode, lookup)
      this.#options.containment.note(packet, uid, decision, lookup, noted)
    }
    if (decision.verdict === 'accept') this.#options.passed.note(packet, uid, decision, now, this.#details)
    this.#options.counts.add(packet, uid, decision, mode === 'observe')
  }

  readonly #details = (): FlowDetails => {
    const { family, destination } = this.packet
    return {
      unit: this.#lookup.unit,
      domain: this.#options.domainOf(family, destination, this.sender.uid),
    }
  }
}

/** Makes the kernel send the bytes that were judged: the sender may change the pages of its packet meanwhile. */
function sendJudged(queued: QueuedPacket, packet: Packet): void {
  if (packet.payloadOffset === packet.payloadEnd || !packet.isWhole) return
  writeChecksum(packet)
  queued.sendsBytes = true
}
