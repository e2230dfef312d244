import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import { type Decision, REASONS } from '../policy/rule.js'

const VERDICTS = ['accept', 'block', 'would-block'] as const
const PROTOCOLS = ['tcp', 'udp', 'icmp', 'other'] as const
const FAMILIES = ['ipv4', 'ipv6'] as const

/** One counter of the metric checkvalve_packets_total, with its labels. */
export interface VerdictCount {
  readonly verdict: (typeof VERDICTS)[number]
  readonly reason: (typeof REASONS)[number]
  readonly protocol: (typeof PROTOCOLS)[number]
  readonly family: (typeof FAMILIES)[number]
  readonly packets: number
}

/**
 * Users with a counter of their own; blocks of further users are counted together. Each is a series in the metrics of
 * each server of a fleet.
 */
const MAX_USERS = 32

/** Counts verdicts, in an array: counting costs the packet path nothing that can be measured. */
export class VerdictCounts {
  /** Blocks by the service, without the canary's. */
  blocks = 0
  readonly #counts = new Float64Array(VERDICTS.length * REASONS.length * PROTOCOLS.length * FAMILIES.length)
  readonly #blocks = new Map<number, number>()
  #otherUsers = 0

  /**
   * Counts one verdict.
   * @param uid user id, or -1 for none @param observing whether a block is only recorded
   */
  add(packet: Packet, uid: number, decision: Decision, observing: boolean): void {
    const accepted = decision.verdict === 'accept'
    const verdict = accepted ? 0 : observing ? 2 : 1
    const index =
      (verdict * REASONS.length + decision.reasonIndex) * PROTOCOLS.length + protocolIndex(packet.protocol)
    this.#counts[index * 2 + (packet.family === 6 ? 1 : 0)]!++
    // The canary is the service's own packet: no user sent it.
    if (accepted || decision.reason === 'canary') return
    this.blocks++
    this.#addBlocks(uid, 1)
  }

  /** Counts packets of a user that the kernel has refused without waking the service. They are no verdicts. */
  addRefused(uid: number, packets: number): void {
    this.#addBlocks(uid, packets)
  }

  /** Yields all counters that are not 0. */
  *counts(): Generator<VerdictCount> {
    let index = 0
    for (const verdict of VERDICTS)
      for (const reason of REASONS)
        for (const protocol of PROTOCOLS)
          for (const family of FAMILIES) {
            const packets = this.#counts[index++]!
            if (packets > 0) yield { verdict, reason, protocol, family, packets }
          }
  }

  /** Returns the packets by verdict and reason, for those that are not 0. */
  byReason(): Map<`${VerdictCount['verdict']} ${VerdictCount['reason']}`, number> {
    const totals: ReturnType<VerdictCounts['byReason']> = new Map()
    for (const { verdict, reason, packets } of this.counts()) {
      const key = `${verdict} ${reason}` as const
      totals.set(key, (totals.get(key) ?? 0) + packets)
    }
    return totals
  }

  /**
   * Yields the blocks by user id: -1 for packets without a user, undefined for all further users together.
   */
  *blocksByUser(): Generator<[uid: number | undefined, packets: number]> {
    yield* this.#blocks
    if (this.#otherUsers > 0) yield [undefined, this.#otherUsers]
  }

  #addBlocks(uid: number, packets: number): void {
    const count = this.#blocks.get(uid)
    if (count !== undefined) this.#blocks.set(uid, count + packets)
    else if (this.#blocks.size < MAX_USERS) this.#blocks.set(uid, packets)
    else this.#otherUsers += packets
  }
}

function protocolIndex(protocol: number): number {
  if (protocol === IPPROTO_TCP) return 0
  if (protocol === IPPROTO_UDP) return 1
  return protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6 ? 2 : 3
}
