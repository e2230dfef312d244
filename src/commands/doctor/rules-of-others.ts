/** The firewall rules of others, whoever has written them: what of them could get in the way. */
import type { MarkChange } from './mark-bits.js'

export interface Chain {
  /** Family and name: `inet filter`. */
  readonly table: string
  readonly name: string
  /** Base chains only: where in the kernel, and when. */
  readonly hook?: string | undefined
  readonly priority?: number | undefined
  readonly policy?: string | undefined
}

export interface ForeignRule {
  readonly table: string
  readonly chain: string
  readonly change?: MarkChange | undefined
  /** The first number of the queue that it hands packets to; -1 where the number is not known. */
  readonly queue?: number | undefined
  readonly isNotrack: boolean
  /** Chains that it leads to. */
  readonly leadsTo: readonly string[]
  /** As the program writes it that has made it, where that is known. */
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

/** Each rule with every base chain from which packets get to it. Rules that nothing leads to are left out. */
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
  // Grows while it is gone through: chains that others lead to.
  for (const name of names)
    for (const rule of of.get(keyOf(table, name)) ?? []) {
      found.add(rule)
      for (const target of rule.leadsTo) names.add(target)
    }
  return found
}
