/** Makes rules, policies and packets for the tests of explain. */

import { decode, Packet } from '../../../src/core/packet/packet.js'
import type { Sender } from '../../../src/core/packet/sender.js'
import { assemble, compile, type Policy } from '../../../src/core/policy/policy.js'
import type { Rule, RuleSpec } from '../../../src/core/policy/rule.js'
import { EPHEMERAL_PORTS } from '../clients.js'
import { ipv4, tcp } from '../packets.js'
import { v4 } from '../policies.js'

export const NOW = 1_800_000_000_000
export const WWW: Sender = {
  uid: 33,
  known: false,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 0,
  isOf: (units) => units.includes('web.service'),
}

export function read(bytes: Uint8Array): Packet {
  const packet = new Packet()
  packet.isWhole = true
  const malformed = decode(bytes, 0, bytes.length, bytes.length, packet)
  if (malformed) throw new Error(malformed)
  return packet
}

/** Returns a rule for TCP to one address; `given` replaces its fields. */
export function rule(given: Partial<RuleSpec> = {}): Rule {
  const base = { reason: 'rule', name: 'r', protocol: 'tcp', ports: [], names: [], domains: [] } as const
  return compile({ ...base, prefixes: [v4(198, 51, 100, 2)], ...given })
}

export function policy(rules: readonly Rule[], given: Partial<Policy> = {}): Policy {
  const base = {
    mode: 'enforce',
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    transparentUsers: [],
    sparedUsers: [0],
    trustedUsers: [],
  } as const
  return assemble({ ...base, queryPolicy: undefined, rules, ...given })
}

export const port = (first: number, last = first) => ({ first, last })
export const call = (options: Parameters<typeof tcp>[0] = {}) => read(ipv4({}, tcp(options)))
