/** Parses the output of iptables-save (iptables-save(8)), legacy or nft. Pure. */
import { changeOfRule } from './mark-bits.js'
import type { Chain, ForeignRule, ForeignRules } from './rules-of-others.js'

/** include/uapi/linux/netfilter_ipv4.h: enum nf_ip_hook_priorities */
const PRIORITIES: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  nat: -100,
  filter: 0,
  security: 50,
}
const HOOKS: Readonly<Record<string, string>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
}

/** @param family as nftables calls it: `ip`, `ip6` */
export function parseSave(text: string, family: 'ip' | 'ip6'): ForeignRules {
  const chains: Chain[] = []
  const rules: ForeignRule[] = []
  let table = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim()
    const place = `${family} ${table}`
    const chain = /^:(\S+) (\S+)/.exec(line)
    if (chain) chains.push(chainOf(place, chain[1]!, chain[2]!, PRIORITIES[table]))
    const rule = /^-A (\S+)/.exec(line)
    if (rule) rules.push(ruleOf(place, rule[1]!, line))
  }
  return { chains, rules }
}

const chainOf = (table: string, name: string, policy: string, priority: number | undefined): Chain => ({
  table,
  name,
  ...(policy !== '-' && { hook: HOOKS[name], priority, policy: policy.toLowerCase() }),
})

function redirectionOf(target: string | undefined): ForeignRule['redirects'] {
  if (target === 'TPROXY') return 'tproxy'
  return target === 'DNAT' || target === 'REDIRECT' || target === 'NETMAP' ? 'dnat' : undefined
}

function ruleOf(table: string, chain: string, text: string): ForeignRule {
  const queue = /-j NFQUEUE(?:.*--queue-(?:num|balance) (\d+))?/.exec(text)
  const target = /(?:^|\s)-[jg] (\S+)/.exec(text)?.[1]
  return {
    table,
    chain,
    change: changeOfRule(text),
    queue: queue ? Number(queue[1] ?? 0) : undefined,
    isNotrack: /-j (?:NOTRACK|CT\b.*--notrack)/.test(text),
    redirects: redirectionOf(target),
    isSynproxy6: target === 'SYNPROXY' && table.startsWith('ip6 '),
    leadsTo: target === undefined ? [] : [target],
    text,
  }
}
