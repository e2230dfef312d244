/** Judges recorded packets by a policy, with the code that the service itself uses. */

import { setPayload } from '../../core/packet/checksum.js'
import { type Address, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from '../../core/packet/ip.js'
import { ntpRequest } from '../../core/packet/ntp.js'
import { ECHO_REQUEST, Packet, TCPHDR_SYN } from '../../core/packet/packet.js'
import { protocolOf } from '../../core/packet/protocol-names.js'
import type { Sender } from '../../core/packet/sender.js'
import { isTimePort } from '../../core/policy/allowlist.js'
import { decide, MALFORMED, NOT_NTP, type Policy } from '../../core/policy/policy.js'
import type { Decision } from '../../core/policy/rule.js'
import { noClients } from '../../core/session/no-clients.js'
import { encodePayload } from '../../names/dns/encode-query.js'

/** The recorded fields of a packet. */
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

/** A policy, and the addresses of names in the records. */
export class PolicyTrial {
  readonly #policy: Policy
  readonly #now: number
  /** Answers to clients pass by no rule, and are in no log: so no clients are needed. */
  readonly #inbound = noClients()
  readonly #names = new Set<string>()
  readonly #packet = Object.assign(new Packet(), { isWhole: true })

  /** @param now milliseconds since the epoch; rules that expired by then do not match */
  constructor(policy: Policy, now: number) {
    this.#policy = policy
    this.#now = now
  }

  /** Adds an address of a name to the rules that have the name. */
  learn(name: string, host: Address): void {
    this.#names.add(name)
    for (const rule of this.#policy.names.find(name)) rule.addresses.add(host)
  }

  /** Whether it has learned an address of that name. */
  knows(name: string): boolean {
    return this.#names.has(name)
  }

  /**
   * Judges a record as the first packet of a connection.
   * @param isAnyUnit treat the sender as a member of every unit
   * @returns undefined when too little was recorded
   */
  judge(recorded: Recorded, isAnyUnit = false): Decision | undefined {
    if (recorded.reason === MALFORMED.reason) return MALFORMED
    if (!fill(this.#packet, recorded, this.#policy)) return undefined
    const { uid, unit } = recorded
    const isOf = (units: readonly string[]) => isAnyUnit || (unit !== undefined && units.includes(unit))
    const sender: Sender = {
      uid: uid ?? -1,
      known: false,
      isReply: false,
      isForeign: false,
      isQuarantined: false,
      device: 0,
      isOf,
    }
    return decide(this.#policy, this.#packet, sender, this.#inbound, this.#now)
  }
}

/**
 * Fills a packet from a record.
 * @returns false when the record does not have protocol, destination and port
 */
function fill(packet: Packet, recorded: Recorded, policy: Policy): boolean {
  const { transport, host, port, sourcePort, question, reason } = recorded
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
  const isNtp = protocol === IPPROTO_UDP && isTimePort(policy, port!) && reason !== NOT_NTP.reason
  setPayload(packet, question !== undefined ? messageOf(question, protocol) : isNtp ? ntpRequest() : NOTHING)
  return true
}

const NOTHING = new Uint8Array()

/** Makes a DNS query. Returns no bytes when the name cannot be encoded. */
function messageOf(name: string, protocol: number): Uint8Array {
  try {
    return encodePayload({ name }, protocol)
  } catch {
    return NOTHING
  }
}
