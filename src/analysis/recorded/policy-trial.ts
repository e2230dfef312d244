/** What a policy would have done with what was recorded, by the same judgement as the service's own. */

import { type Address, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../core/packet/ip.js'
import { ECHO_REQUEST, Packet, TCPHDR_SYN } from '../../core/packet/packet.js'
import { protocolOf } from '../../core/packet/protocol-names.js'
import type { Sender } from '../../core/packet/sender.js'
import { type Decision, decide, MALFORMED, type Policy } from '../../core/policy/policy.js'
import { noClients } from '../../core/session/no-clients.js'
import { encodePayload } from '../../names/dns/encode-query.js'

/** What of a packet was recorded. */
export interface Recorded {
  readonly uid: number | undefined
  readonly unit?: string | undefined
  readonly reason: string
  readonly transport: string | undefined
  readonly host: Address | undefined
  readonly port: number | undefined
  readonly sourcePort: number | undefined
  readonly question: string | undefined
}

export class PolicyTrial {
  readonly #policy: Policy
  readonly #now: number
  /** What answers a client passes by no rule, and is in no log. */
  readonly #inbound = noClients()
  readonly #names = new Set<string>()
  readonly #packet = Object.assign(new Packet(), { single: true })

  /** @param now milliseconds since the epoch: rules expire */
  constructor(policy: Policy, now: number) {
    this.#policy = policy
    this.#now = now
  }

  /** A name that the policy may allow has this address. */
  learn(name: string, host: Address): void {
    this.#names.add(name)
    for (const rule of this.#policy.names.find(name)) rule.addresses.add(host)
  }

  /** Whether it has learned an address of that name. */
  knows(name: string): boolean {
    return this.#names.has(name)
  }

  /**
   * As the first packet of a connection.
   * @param isAnyUnit as if it were in every unit that a rule could want @returns undefined where too little was recorded
   */
  judge(recorded: Recorded, isAnyUnit = false): Decision | undefined {
    if (recorded.reason === MALFORMED.reason) return MALFORMED
    if (!fill(this.#packet, recorded)) return undefined
    const { uid, unit } = recorded
    const isOf = (units: readonly string[]) => isAnyUnit || (unit !== undefined && units.includes(unit))
    const sender: Sender = { uid: uid ?? -1, known: false, isReply: false, device: 0, isOf }
    return decide(this.#policy, this.#packet, sender, this.#inbound, this.#now)
  }
}

/** @returns false where it cannot be told what packet it was */
function fill(packet: Packet, { transport, host, port, sourcePort, question }: Recorded): boolean {
  const protocol = transport === undefined ? undefined : protocolOf(transport)
  const hasPorts = protocol === IPPROTO_TCP || protocol === IPPROTO_UDP
  if (protocol === undefined || host === undefined || (hasPorts && port === undefined)) return false
  packet.family = host.family
  packet.protocol = protocol
  packet.destination.set(host.words)
  packet.destinationPort = hasPorts ? port! : 0
  packet.sourcePort = hasPorts ? (sourcePort ?? 0) : 0
  packet.tcpFlags = protocol === IPPROTO_TCP ? TCPHDR_SYN : 0
  packet.icmpType =
    protocol === IPPROTO_ICMP ? ECHO_REQUEST[4] : protocol === IPPROTO_ICMPV6 ? ECHO_REQUEST[6] : 0
  packet.bytes = question === undefined ? NOTHING : messageOf(question, protocol)
  packet.payloadEnd = packet.bytes.length
  return true
}

const NOTHING = new Uint8Array()

/** Nothing where there is no such question. */
function messageOf(name: string, protocol: number): Uint8Array {
  try {
    return encodePayload({ name }, protocol)
  } catch {
    return NOTHING
  }
}
