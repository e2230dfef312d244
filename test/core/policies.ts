/** Makes policies and options for tests of the ruleset: one for each case of the text. */

import type { Address, Prefix } from '../../src/core/packet/ip.js'
import { assemble, compile, type Policy } from '../../src/core/policy/policy.js'
import type { Rule, RuleSpec } from '../../src/core/policy/rule.js'
import { type RulesetOptions, render, renderHosts } from '../../src/core/ruleset/ruleset.js'
import { EPHEMERAL_PORTS } from './clients.js'

export const NOW = Date.UTC(2027, 0, 1)

export const v4 = (a: number, b: number, c: number, d: number, length = 32): Prefix => ({
  family: 4,
  words: Uint32Array.of(((a << 24) | (b << 16) | (c << 8) | d) >>> 0, 0, 0, 0),
  length,
})
/** Returns a prefix in 2001:db8::/32. */
export const v6 = (second: number, last: number, length = 128): Prefix => ({
  family: 6,
  words: Uint32Array.of(0x20010db8, second, 0, last),
  length,
})
const port = (first: number, last = first) => ({ first, last })
const spec = (some: Partial<RuleSpec>): RuleSpec => ({
  reason: 'rule',
  name: 'api',
  protocol: 'tcp',
  ports: [],
  prefixes: [],
  names: [],
  domains: [],
  ...some,
})

/** The addresses of the rules' names. */
export const HOSTS: readonly Address[] = [v4(198, 51, 100, 2), v6(0, 2)]

const RESOLVER = spec({
  reason: 'resolver',
  name: 'resolver',
  protocol: 'any',
  ports: [port(53)],
  prefixes: [v4(198, 51, 100, 53), v6(0, 0x53)],
})
const MIRRORS = spec({
  reason: 'mirror',
  name: 'mirrors',
  ports: [port(80), port(443)],
  users: [0, 42],
  prefixes: [
    v4(203, 0, 113, 0, 24),
    v4(203, 0, 113, 7),
    v4(203, 0, 112, 0, 24),
    v6(0x10000, 0, 48),
    v6(0x10000, 1),
    v6(0x10000, 0),
    v4(203, 0, 110, 9),
    v4(203, 0, 111, 0, 25),
  ],
  names: ['mirror.example.org'],
})
const DHCP = spec({
  reason: 'dhcp',
  name: 'dhcp4',
  protocol: 'udp',
  sourcePort: 68,
  ports: [port(67)],
  users: [0],
  prefixes: [v4(0, 0, 0, 0, 0)],
})
const RULES = [
  spec({
    name: 'expires',
    ports: [port(8000, 8080)],
    prefixes: [v4(192, 0, 2, 0, 25)],
    expires: NOW + 90_500,
  }),
  spec({ name: 'expired', prefixes: [v4(192, 0, 2, 200)], expires: NOW }),
  spec({ name: 'ping', protocol: 'icmp', prefixes: [v4(192, 0, 2, 9), v6(0, 9)] }),
  spec({ name: 'all', protocol: 'any', prefixes: [v4(192, 0, 2, 10)] }),
  spec({ name: 'nobody', users: [], prefixes: [v4(192, 0, 2, 11)] }),
  spec({
    name: 'unit-users',
    units: ['web.service'],
    users: [33],
    whenSilent: 'users',
    prefixes: [v4(192, 0, 2, 13)],
  }),
  spec({
    ...{ name: 'unit-open', units: ['web.service'], users: [], whenSilent: 'open' },
    ...{ prefixes: [v4(192, 0, 2, 14)], names: ['unit.example.org'] },
  }),
  spec({ name: 'closed', whenSilent: 'closed', prefixes: [v4(192, 0, 2, 15)] }),
  spec({ name: 'unit', units: ['web.service'], prefixes: [v4(192, 0, 2, 12)], names: ['unit.example.org'] }),
]

interface PolicyOptions extends Partial<Pick<Policy, 'transparentUsers'>> {
  readonly hosts?: readonly Address[]
  /** Trusted users; with them names are enforced. */
  readonly users?: readonly number[]
}

/** Makes a policy. @param hosts the addresses of the names of each rule that has names */
function policy(
  mode: Policy['mode'],
  specs: readonly RuleSpec[],
  { hosts = HOSTS, users, ...given }: PolicyOptions = {},
): Policy {
  const rules = specs.map(compile)
  for (const rule of rules)
    if (rule.spec.names.length + rule.spec.domains.length > 0)
      for (const host of hosts) rule.addresses.add(host)
  const asking = users && { isAllowed: () => false, reverse: false, search: [] }
  return assemble({
    mode,
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    transparentUsers: [],
    sparedUsers: [0],
    trustedUsers: users ?? [0, 101],
    rules,
    queryPolicy: asking,
    ...given,
  })
}

export const OPTIONS: RulesetOptions = {
  form: 'xtables',
  queue: { first: 100, count: 1 },
  mask: 0x3f000000,
  generation: 1,
  block: 'reject',
  fallback: 'static',
  udpTimeout: 600,
  pressure: 'none',
  watchNames: false,
  hasOpened: false,
  contain: 'new',
  matchesCgroups: true,
  hostTimeout: 86_400,
}

/** Rules for root, whose sockets other users may have inherited. */
const OF_ROOT = [
  spec({ name: 'of-root', protocol: 'any', users: [0], prefixes: [v4(192, 0, 2, 12)] }),
  spec({ name: 'ping-of-root', protocol: 'icmp', users: [0, 42], prefixes: [v4(192, 0, 2, 13)] }),
]

export interface Case {
  readonly name: string
  readonly policy: Policy
  readonly options: RulesetOptions
}

const all = policy('enforce', [RESOLVER, MIRRORS, DHCP, ...RULES])
/** WILD has a domain, and expires before its learned addresses would. */
const WILD = spec({ name: 'wild', ports: [port(443)], domains: ['example.net'], expires: NOW + 3_600_001 })
const enforced = (users: readonly number[]) => policy('enforce', [RESOLVER, MIRRORS, WILD], { users })
const one = (name: string, options: Partial<RulesetOptions>, of = all): Case => ({
  name,
  policy: of,
  options: { ...OPTIONS, ...options },
})

/** The cases; `name` is that of the golden file. */
export const CASES: readonly Case[] = [
  one('enforce', {}),
  one('native', { form: 'native' }),
  one('native-fanout', { form: 'native', queue: { first: 7, count: 4 } }),
  one('closed', { fallback: 'closed', generation: 15 }),
  one('open', { fallback: 'open' }),
  one('observe', {}, policy('observe', [RESOLVER, MIRRORS])),
  one('opened', { hasOpened: true }),
  one('pressure-high', { pressure: 'high' }),
  one('pressure-full', { pressure: 'full' }),
  one('drop-low-mask', { block: 'drop', mask: 0x0000003f }),
  one('names-unknown', {}, policy('enforce', [MIRRORS], { hosts: [] })),
  one('watch-names', { watchNames: true, hasOpened: true, pressure: 'full' }),
  one('native-watch-names', { form: 'native', queue: { first: 7, count: 4 }, watchNames: true }),
  one('names-enforced', { watchNames: true }, enforced([0, 42, 101])),
  one('of-root', {}, policy('enforce', OF_ROOT)),
  one('names-enforced-for-all', { watchNames: true }, enforced([])),
  one('transparent', {}, policy('enforce', [MIRRORS], { transparentUsers: [13, 1001] })),
]

/** Returns everything that the service loads for a policy. */
export function textOf({ policy, options }: Case): string {
  const hasCopy = policy.mode === 'enforce' && options.fallback === 'static'
  return [render(policy, options, NOW), ...(hasCopy ? renderHosts(policy, options, NOW) : []), ''].join('\n')
}

export const mirrorsOf = (from: Policy): Rule => from.rules.find(({ spec }) => spec.name === 'mirrors')!
