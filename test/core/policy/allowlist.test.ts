import t from 'tap'
import { entriesBySource, isTimePort, namesOf } from '../../../src/core/policy/allowlist.js'
import { policy, prefix, rule } from '../rules.js'

t.test('prefixes and learned addresses are counted by the reason of their rules', async (t) => {
  const mirrors = rule({ reason: 'mirror', prefixes: [], names: ['mirror.example.org'] })
  mirrors.addresses.add(prefix('203.0.113.1'))
  mirrors.addresses.add(prefix('2001:db8::1'))
  mirrors.formerAddresses.add(prefix('203.0.113.2'))
  const entries = entriesBySource(policy([mirrors, rule(), rule({ prefixes: [prefix('203.0.113.9')] })]))
  t.same(
    [...entries],
    [
      ['mirror', 2],
      ['rule', 3],
    ],
  )
})

t.test('two rules for the same destinations, as for time servers, count once', async (t) => {
  const prefixes = [prefix('192.0.2.123')]
  const time = (name: string) => rule({ reason: 'time', name, prefixes })
  t.same([...entriesBySource(policy([time('time'), time('time:123')]))], [['time', 1]])
})

t.test('the names of a policy are those of all its rules, each listed once, without domains', async (t) => {
  const rules = [
    rule({ names: ['a.example.org', 'b.example.org'], domains: ['example.net'] }),
    rule({ names: ['b.example.org'] }),
  ]
  t.same([...namesOf(policy(rules))], ['a.example.org', 'b.example.org'])
})

t.test('the ports of time servers are those of their rules for UDP', async (t) => {
  const ports = (port: number) => [{ first: port, last: port }]
  const made = policy([
    rule({ reason: 'time', protocol: 'udp', ports: ports(1123) }),
    rule({ reason: 'time', protocol: 'tcp', ports: ports(4460) }),
    rule({ reason: 'rule', protocol: 'udp', ports: ports(53) }),
  ])
  t.same(
    [53, 123, 1123, 4460].filter((port) => isTimePort(made, port)),
    [1123],
  )
})
