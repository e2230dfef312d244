/**
 * Defines the firewall rules of other programs, from nftables or iptables, and finds the rules that packets
 * reach.
 */
import type { MarkChange } from './mark-bits.js'

export interface Chain {
  /** Family and name: `inet filter`. */
  readonly table: string
  readonly name: string
  /** Base chains only: the hook in the kernel, and the priority there. */
  readonly hook?: string | undefined
  readonly priority?: number | undefined
  readonly policy?: string | undefined
}

export interface ForeignRule {
  readonly table: string
  readonly chain: string
  readonly change?: MarkChange | undefined
  /** The (first) number of the queue that the rule sends packets to; -1 when the number is not known. */
  readonly queue?: number | undefined
  readonly isNotrack: boolean
  /** Whether the rule changes the destination (DNAT, REDIRECT), or hands packets to a transparent proxy (TPROXY). */
  readonly redirects?: 'dnat' | 'tproxy' | undefined
  /** Whether the kernel answers new clients over IPv6 in place of the service (SYNPROXY). */
  readonly isSynproxy6?: boolean | undefined
  /** Chains that the rule jumps to. */
  readonly leadsTo: readonly string[]
  /** The rule in the syntax of iptables-save. */
  readonly text?: string | undefined
}

export interface ForeignRules {
  readonly chains: readonly Chain[]
  readonly rules: readonly ForeignRule[]
}

export const together = (...all: readonly ForeignRules[]): ForeignRules => ({
  chains: all.flatMap(({ chains }) => chains),
  rules: all.flatMap(({ rules }) => rules),
})

/** A rule, and a base chain that leads to it. */
export interface Reached {
  readonly rule: ForeignRule
  readonly from: Chain
}

/** Pairs each rule with every base chain from which packets reach it. Unreachable rules are left out. */
export function reached({ chains, rules }: ForeignRules): Reached[] {
  const of = new Map<string, ForeignRule[]>()
  for (const rule of rules) {
    const key = keyOf(rule.table, rule.chain)
    of.set(key, [...(of.get(key) ?? []), rule])
  }
  return chains
    .filter(({ hook }) => hook !== undefined)
    .flatMap((from) => [...within(from.table, from.name, of)].map((rule) => ({ rule, from })))
}

const keyOf = (table: string, chain: string) => `${table} ${chain}`

function within(
  table: string,
  chain: string,
  of: ReadonlyMap<string, readonly ForeignRule[]>,
): Set<ForeignRule> {
  const found = new Set<ForeignRule>()
  const names = new Set([chain])
  // The set grows during the iteration, by the chains that rules jump to.
  for (const name of names)
    for (const rule of of.get(keyOf(table, name)) ?? []) {
      found.add(rule)
      for (const target of rule.leadsTo) names.add(target)
    }
  return found
}
