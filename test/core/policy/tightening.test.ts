import t from 'tap'
import type { RuleSpec } from '../../../src/core/policy/rule.js'
import { tightens } from '../../../src/core/policy/tightening.js'
import { policy, prefix, rule } from '../rules.js'

t.test(
  'a policy tightens when a rule is removed or changed, or when blocking begins; not otherwise',
  async (t) => {
    const origin = (line: number) => ({ origin: { file: 'main.yaml', line } })
    const a = () => rule({ name: 'a', users: [0], ...origin(1) })
    const b = () => rule({ name: 'b', names: ['example.org'] })
    t.equal(tightens(policy([a(), b()]), policy([a(), b()])), false, 'the policies are equal')
    t.equal(tightens(policy([a(), b()]), policy([b(), a()])), false, 'the rules have another order')
    t.equal(tightens(policy([a()]), policy([a(), b()])), false, 'a rule is added')
    t.equal(tightens(policy([a(), b()]), policy([a()])), true, 'a rule is removed')
    t.equal(
      tightens(policy([a()]), policy([rule({ name: 'a', users: [0], ...origin(9) })])),
      false,
      'a rule is on another line',
    )

    const changes: Partial<RuleSpec>[] = [
      { users: [33] },
      { users: [0, 33] },
      { users: undefined },
      { ports: [{ first: 443, last: 443 }] },
      { protocol: 'tcp' },
      { expires: 1_800_000_000_000 },
      { sourcePort: 68 },
      { reason: 'mirror' },
      { name: 'c' },
    ]
    for (const change of changes)
      t.equal(
        tightens(policy([a()]), policy([rule({ name: 'a', users: [0], ...change })])),
        true,
        JSON.stringify(change),
      )

    const learned = b()
    learned.addresses.add(prefix('198.51.100.9'))
    learned.formerAddresses.add(prefix('198.51.100.8'))
    t.equal(tightens(policy([learned]), policy([b()])), false, 'learned addresses do not count')

    const observe = { mode: 'observe' } as const
    t.equal(tightens(policy([a()], observe), policy([a()])), true, 'the mode changes from observe to enforce')
    t.equal(
      tightens(policy([a()]), policy([a()], observe)),
      false,
      'the mode changes from enforce to observe',
    )
    t.equal(tightens(policy([a()], observe), policy([a()], observe)), false)
  },
)

t.test('more destinations of a rule do not tighten a policy; one destination fewer does', async (t) => {
  const few: Partial<RuleSpec> = {
    prefixes: [prefix('198.51.100.0/24')],
    names: ['a.example.org'],
    domains: ['example.net'],
  }
  const wider: Partial<RuleSpec>[] = [
    { ...few, prefixes: [prefix('2001:db8::/32'), ...few.prefixes!] },
    { ...few, names: ['b.example.org', 'a.example.org'] },
    { ...few, domains: ['example.com', 'example.net'] },
  ]
  const isTighter = (before: Partial<RuleSpec>, after: Partial<RuleSpec>) =>
    tightens(policy([rule(before)]), policy([rule(after)]))
  for (const wide of wider) {
    t.equal(isTighter(few, wide), false)
    t.equal(isTighter(wide, few), true)
  }
  const other: Partial<RuleSpec>[] = [
    { ...few, prefixes: [prefix('198.51.100.0/25')] },
    { ...few, prefixes: [prefix('198.51.101.0/24')] },
    { ...few, names: ['b.example.org'] },
    { ...few, domains: ['example.com'] },
    { ...few, names: ['a.example.org', 'example.net'], domains: [] },
    { ...few, names: [], domains: ['example.net', 'a.example.org'] },
  ]
  for (const after of other) t.equal(isTighter(few, after), true, JSON.stringify(after))
})

t.test(
  'a destination that is removed from one rule tightens, even when another rule still allows it',
  async (t) => {
    const one = rule({ name: 'one', users: [0], names: ['a.example.org'] })
    const less = rule({ name: 'one', users: [0], names: [] })
    const other = rule({ name: 'other', users: [33], names: ['a.example.org'] })
    t.equal(tightens(policy([one, other]), policy([less, other])), true)
  },
)

t.test('other names in a later SRV answer do not tighten a policy', async (t) => {
  const withSrvTarget = (name: string) =>
    policy([rule({ names: ['a.example.org'] }), rule({ name: 't', names: [name], isFromSrv: true })])
  t.equal(tightens(withSrvTarget('one.example.net'), withSrvTarget('two.example.net')), false)
  t.equal(tightens(withSrvTarget('one.example.net'), policy([rule({ names: ['a.example.org'] })])), false)
  t.equal(
    tightens(withSrvTarget('one.example.net'), policy()),
    true,
    'a removed name of the allowlist tightens the policy',
  )
})

t.test('IPv4 0.0.0.0/0 and IPv6 ::/0 are different destinations', async (t) => {
  const four = rule({ prefixes: [prefix('0.0.0.0/0')] })
  const six = rule({ prefixes: [prefix('::/0')] })
  t.equal(tightens(policy([four]), policy([six])), true)
})
