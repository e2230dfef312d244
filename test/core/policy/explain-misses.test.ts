import t from 'tap'
import type { Packet } from '../../../src/core/packet/packet.js'
import { explain, missesOf, nearest } from '../../../src/core/policy/explain.js'
import type { Policy } from '../../../src/core/policy/policy.js'
import type { Rule, RuleSpec } from '../../../src/core/policy/rule.js'
import { verdictOfKernel } from '../../../src/core/ruleset/fallback.js'
import { clients } from '../clients.js'
import { v4 } from '../policies.js'
import { call, NOW, policy, port, rule, WWW } from './explaining.js'

const missesAt = (one: Rule, packet: Packet, sender = WWW) =>
  missesOf(policy([one]), one, packet, sender, NOW)

t.test('each condition that a packet misses is listed, and no other', async (t) => {
  const table: [Partial<RuleSpec>, string[]][] = [
    [{}, []],
    [{ protocol: 'udp' }, ['protocol']],
    [{ protocol: 'icmp' }, ['protocol']],
    [{ ports: [port(80), port(8000, 8080)] }, ['port']],
    [{ ports: [port(400, 500)] }, []],
    [{ sourcePort: 20 }, ['source-port']],
    [{ users: [0, 42] }, ['user']],
    [{ users: [] }, ['user']],
    [{ users: [33] }, []],
    [{ units: ['cron.service'] }, ['unit']],
    [{ units: ['cron.service', 'web.service'] }, []],
    [{ expires: NOW }, ['expired']],
    [{ expires: NOW + 1 }, []],
    [{ prefixes: [v4(203, 0, 113, 0, 24)] }, ['destination']],
    [
      { protocol: 'udp', ports: [port(53)], users: [0], expires: NOW, prefixes: [] },
      ['protocol', 'port', 'user', 'expired', 'destination'],
    ],
  ]
  for (const [given, misses] of table) t.same(missesAt(rule(given), call()), misses, JSON.stringify(given))
})

t.test(
  "when root's packet has a port that the kernel did not choose, the miss is the port and not the user",
  async (t) => {
    const ofRoot = rule({ users: [0] })
    const root = { ...WWW, uid: 0 }
    t.same(missesAt(ofRoot, call({ sourcePort: 40000 }), root), [])
    t.same(missesAt(ofRoot, call({ sourcePort: 80 }), root), ['handed-on'])
    t.same(missesAt(rule({ users: [0], sourcePort: 80 }), call({ sourcePort: 80 }), root), [])
    t.same(missesAt(ofRoot, call({ sourcePort: 80 })), ['user'])
  },
)

t.test(
  'a former address of a name is a different miss from a destination that the name never had',
  async (t) => {
    const named = rule({ prefixes: [], names: ['api.example.org'] })
    t.same(missesAt(named, call()), ['destination'])
    named.formerAddresses.add(v4(198, 51, 100, 2))
    t.same(missesAt(named, call()), ['former'])
    t.same(
      missesAt(named, call(), { ...WWW, known: true }),
      [],
      'approved connections to a former address continue',
    )
    named.addresses.add(v4(198, 51, 100, 2))
    t.same(missesAt(named, call()), [])
  },
)

t.test('nearest returns the rules with the destination, those with the fewest misses first', async (t) => {
  const both = rule({ name: 'both', users: [0], ports: [port(80)] })
  const user = rule({ name: 'user', users: [0] })
  const elsewhere = rule({ name: 'elsewhere', prefixes: [v4(203, 0, 113, 1)] })
  const far = rule({ name: 'far', protocol: 'udp', users: [0], ports: [port(53)] })
  const names = (...rules: Rule[]) =>
    nearest(explain(policy(rules), call(), WWW, clients(), NOW).candidates).map(({ rule }) => rule.spec.name)
  t.same(names(both, far, elsewhere, user), ['user', 'both'])
  const resolver = rule({ name: 'resolver', reason: 'resolver', ports: [port(53)] })
  t.same(names(resolver, user), ['user', 'resolver'], 'on a tie the rule that can be changed comes first')
  const ping = rule({ name: 'ping', protocol: 'icmp' })
  t.same(names(ping), [], 'a rule for ICMP is not near to a TCP packet')
  t.same(
    names(far, elsewhere),
    ['elsewhere'],
    'without such a rule, rules that miss only the destination are returned',
  )
  const mirror = rule({ name: 'mirrors', reason: 'mirror', prefixes: [v4(203, 0, 113, 1)] })
  t.same(
    names(far, mirror),
    [],
    'the mirrors rule is not returned: an operator would not add a destination to it',
  )
  t.same(names(rule({ name: 'fits' })), [], 'a rule that fits is not returned')
})

t.test(
  'the fallback uses rules without units; with enforced names only trusted users reach resolvers',
  async (t) => {
    const kernel = (
      rules: Rule[],
      given: Partial<Policy> = {},
      fallback: 'static' | 'closed' | 'open' = 'static',
    ) => {
      const made = policy(rules, given)
      const { candidates } = explain(made, call({ destinationPort: 53 }), WWW, clients(), NOW)
      return verdictOfKernel(made, fallback, candidates, WWW)
    }
    const asking = { isAllowed: () => true, reverse: false, search: [] }
    const resolver = rule({ reason: 'resolver' })
    t.equal(kernel([rule()]), 'accept')
    t.equal(kernel([]), 'block')
    t.equal(
      verdictOfKernel(policy([rule()]), 'static', [{ rule: rule(), misses: [] }], {
        ...WWW,
        isQuarantined: true,
      }),
      'block',
      'in quarantine',
    )
    t.equal(kernel([rule({ users: [0] })]), 'block')
    t.equal(kernel([rule({ units: ['web.service'] })]), 'block')
    const ofUnit = { units: ['web.service'], users: [33] }
    t.equal(kernel([rule({ ...ofUnit, whenSilent: 'users' })]), 'accept')
    t.equal(kernel([rule({ ...ofUnit, users: [0], whenSilent: 'users' })]), 'block')
    t.equal(kernel([rule({ ...ofUnit, users: [0], whenSilent: 'open' })]), 'accept')
    t.equal(kernel([rule({ whenSilent: 'closed' })]), 'block')
    t.equal(kernel([rule()], {}, 'closed'), 'block')
    t.equal(kernel([], {}, 'open'), 'accept')
    t.equal(kernel([], { mode: 'observe' }, 'closed'), 'accept')
    t.equal(kernel([resolver]), 'accept')
    t.equal(kernel([resolver], { queryPolicy: asking }), 'block')
    t.equal(kernel([resolver], { queryPolicy: asking, trustedUsers: [33] }), 'accept')
  },
)
