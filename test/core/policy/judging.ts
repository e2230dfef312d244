/** Judges packets for the tests of the policy, on a host without clients. */

import { IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { decode, Packet } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { decide, type Policy } from '../../../src/core/policy/policy.js'
import type { Decision } from '../../../src/core/policy/rule.js'
import { clients } from '../clients.js'
import { ipv4, tcp, udp } from '../packets.js'
import { policy } from '../rules.js'

/** The time at which these tests judge, in milliseconds since the epoch. */
export const NOW = 1_800_000_000_000
export const WWW_DATA: Sender = {
  uid: 33,
  known: false,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 0,
  isOf: () => false,
}
export const NO_USER: Sender = {
  uid: -1,
  known: false,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 0,
  isOf: () => false,
}
export const NO_USER_APPROVED: Sender = {
  uid: -1,
  known: true,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 0,
  isOf: () => false,
}

export function read(bytes: Uint8Array): Packet {
  const packet = new Packet()
  const malformed = decode(bytes, 0, bytes.length, bytes.length, packet)
  if (malformed) throw new Error(malformed)
  packet.isWhole = true
  return packet
}

export const tcp4 = (options: Parameters<typeof tcp>[0] = {}) => read(ipv4({}, tcp(options)))
export const udp4 = (options: Parameters<typeof udp>[0] = {}) =>
  read(ipv4({ protocol: IPPROTO_UDP }, udp(options)))

/** Judges a packet on a host without clients. */
export function judge(rules: Policy['rules'], packet: Packet, sender = WWW_DATA, now = NOW): Decision {
  return decide(policy(rules), packet, sender, clients(), now)
}
