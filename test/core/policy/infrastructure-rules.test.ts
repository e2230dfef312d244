import t from 'tap'
import { isForQueries } from '../../../src/core/policy/infrastructure-rules.js'
import { decide, resolversOf } from '../../../src/core/policy/policy.js'
import { fallbackOf } from '../../../src/core/ruleset/fallback.js'
import type { RulesetOptions } from '../../../src/core/ruleset/options.js'
import { clients } from '../clients.js'
import { policy, prefix, rule } from '../rules.js'
import { NOW, tcp4, WWW_DATA } from './judging.js'

const ports = (first: number) => [{ first, last: first }]
const RESOLVER = rule({ reason: 'resolver', name: 'resolver', ports: ports(53) })
const UPSTREAM = rule({
  reason: 'resolver',
  name: 'resolver-tls:853',
  protocol: 'tcp',
  ports: ports(853),
  users: [33],
  prefixes: [prefix('198.51.100.53')],
})
const ENFORCED = { queryPolicy: { isAllowed: () => false, reverse: false, search: [] }, trustedUsers: [0] }

t.test('a rule of a resolver is for queries when it has their port, or all ports', async (t) => {
  t.ok(isForQueries({ reason: 'resolver', ports: ports(53) }))
  t.ok(isForQueries({ reason: 'resolver', ports: [] }))
  t.notOk(isForQueries({ reason: 'resolver', ports: ports(853) }))
  t.notOk(isForQueries({ reason: 'rule', ports: ports(53) }))
})

t.test(
  'what the resolver on this host sends over TLS is no query: it passes where names are enforced',
  async (t) => {
    const made = policy([RESOLVER, UPSTREAM], ENFORCED)
    t.same(resolversOf(made), RESOLVER.spec.prefixes)
    const judged = (port: number) =>
      decide(
        made,
        Object.assign(tcp4({ destinationPort: port }), { destination: prefix('198.51.100.53').words }),
        WWW_DATA,
        clients(),
        NOW,
      )
    t.match(judged(853), { verdict: 'accept', rule: UPSTREAM })
    t.match(judged(53), { verdict: 'accept', rule: RESOLVER }, 'a connection for queries')
    t.equal(judged(443).reason, 'not-allowlisted')
    const { fallback } = fallbackOf(made, { fallback: 'static' } as RulesetOptions, NOW)
    t.match(
      fallback.filter((line) => line.includes('853')),
      [/^meta skuid \{ 33 \} meta l4proto tcp th dport \{ 853 \}/],
      'for its own users while the service is dead',
    )
  },
)
