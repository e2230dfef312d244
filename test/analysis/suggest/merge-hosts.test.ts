/** Tests the suggestion for several hosts: each has judged by its own users and configuration. */
import t, { type Test } from 'tap'
import { type HostSuggestion, mergeHosts } from '../../../src/analysis/suggest/merge-hosts.js'
import { readSuggestion } from '../../../src/analysis/suggest/read-suggestion.js'
import { jsonOf } from '../../../src/analysis/suggest/suggestion-json.js'
import { yamlOf } from '../../../src/analysis/suggest/suggestion-yaml.js'
import { loadText } from '../../config/files.js'
import { type Event, lineOf } from '../../records/block-log/events.js'
import { ENFORCED, names, sameAsGolden, suggested } from './suggesting.js'

const SHOP: Event = { user: 'www-data', uid: 33, unit: 'shop.service', domain: 'api.example.org' }

/** Suggests on a host, and reads what it would print. */
function suggestionOf(t: Test, host: string, events: readonly Event[], notes: string[] = []): HostSuggestion {
  const read = readSuggestion(host, jsonOf(suggested(t, events.map(lineOf), ENFORCED), notes))
  if (typeof read === 'string') throw new Error(read)
  return read
}

t.test('an entry says on how many hosts it is needed, and names them when they are few', async (t) => {
  const hosts = ['web1', 'web2', 'web3', 'web4', 'web5'].map((host, index) =>
    suggestionOf(
      t,
      host,
      [
        { ...SHOP, at: index },
        { ...SHOP, at: 60 + index, repeat: 9 },
        ...(index === 3 ? [{ ...SHOP, domain: undefined, to: '203.0.113.99', at: 90 } as Event] : []),
        ...(index < 2 ? [{ user: 'root', uid: 0, to: '203.0.113.30', port: 80, at: 91 } as Event] : []),
      ],
      index === 0 ? ['its resolvers are not known'] : [],
    ),
  )
  const { suggestion, notes } = mergeHosts(hosts)
  const yaml = yamlOf(suggestion, 'the logs of 5 hosts', notes)
  sameAsGolden(t, 'suggest-hosts.txt', yaml)
  t.ok(loadText(t, yaml).ok, 'it is a configuration')
  t.match(JSON.parse(jsonOf(suggestion, notes)), {
    hostsMerged: 5,
    hosts: ['web1', 'web2', 'web3', 'web4', 'web5'],
    blocks: 53,
    allow: [{ hosts: ['web1', 'web2', 'web3', 'web4', 'web5'] }, { hosts: ['web1', 'web2'], blocks: 2 }],
  })
})

t.test('merged entries allow what the hosts suggest, and nothing else', async (t) => {
  const at = (port: number, to: string, uid = 4001): Event => ({ uid, user: `u${uid}`, port, to })
  const { suggestion } = mergeHosts([
    suggestionOf(t, 'web1', [at(80, '203.0.113.1'), at(443, '203.0.113.1')]),
    suggestionOf(t, 'web2', [at(443, '203.0.113.1'), at(443, '203.0.113.2')]),
    suggestionOf(t, 'web3', [at(443, '203.0.113.2', 4002)]),
  ])
  const allowed = suggestion.entries.flatMap(({ to, ports, users }) =>
    to.flatMap(({ place }) => ports.flatMap((port) => users.map((user) => `${user} ${place} ${port}`))),
  )
  t.same(
    new Set(allowed),
    new Set(['4001 203.0.113.1 80', '4001 203.0.113.1 443', '4001 203.0.113.2 443', '4002 203.0.113.2 443']),
  )
  t.same(
    suggestion.entries.map(({ ports, users, hosts, blocks }) => [ports, users, [...hosts!].sort(), blocks]),
    [
      [[443], [4001], ['web1', 'web2'], 3],
      [[80], [4001], ['web1'], 1],
      [[443], [4002], ['web3'], 1],
    ],
    'no port and no user is said to be needed on a host where it was not seen, and each block counts once',
  )
})

t.test('an entry keeps the name that is free on the hosts', async (t) => {
  const taken = `${ENFORCED}allow: [{ name: shop-api.example.org, to: [api.example.org], ports: [80] }]\n`
  const onHost = suggested(t, [lineOf(SHOP)], taken)
  t.same(names(onHost.entries), ['shop-api.example.org-2'])
  const read = readSuggestion('web1', jsonOf(onHost)) as HostSuggestion
  t.same(names(mergeHosts([read, read]).suggestion.entries), ['shop-api.example.org-2'])
})

t.test('what looks like a worm on a host is a comment that names the host', async (t) => {
  const scan = Array.from(
    { length: 64 },
    (_, i): Event => ({ ...SHOP, domain: undefined, to: `203.0.113.${i + 1}`, port: 22 }),
  )
  const { suggestion, notes } = mergeHosts([suggestionOf(t, 'web7', scan), suggestionOf(t, 'web8', [])])
  t.same(suggestion.entries, [])
  const yaml = yamlOf(suggestion, 'the logs of 2 hosts', notes)
  t.match(
    yaml.replaceAll('\n# ', ' '),
    /looks like a scan or a worm: on web7, www-data in shop.service was blocked at 64/,
  )
  t.notMatch(yaml, '203.0.113.')
})

t.test('what is no suggestion is refused, with the place of the mistake', async (t) => {
  const good = JSON.parse(jsonOf(suggested(t, [lineOf(SHOP)], ENFORCED)))
  const broken = (change: (value: typeof good) => void) => {
    const value = structuredClone(good)
    change(value)
    return readSuggestion('web1', JSON.stringify(value))
  }
  t.equal(readSuggestion('web1', 'cut {'), 'it is no object')
  t.equal(
    broken((value) => delete value.blocks),
    'blocks is no number that it can be',
  )
  t.equal(good.allow[0].parts[0].user, 'www-data')
  t.equal(
    broken(({ allow }) => (allow[0].parts[0].place = 'a\nmode: observe')),
    'allow[0].parts[0].place is no host name or address',
  )
  t.equal(
    broken(({ allow }) => (allow[0].parts[0].unit = 'a b')),
    'allow[0].parts[0].unit is no unit',
  )
  t.equal(
    broken(({ allow }) => (allow[0].parts[0].port = 0)),
    'allow[0].parts[0].port is no number that it can be',
  )
  t.equal(
    broken(({ allow }) => (allow[0].entry.protocol = 'all')),
    'allow[0].entry.protocol is none of tcp, udp, icmp, any',
  )
  t.equal(
    broken(({ allow }) => (allow[0].parts = Array.from({ length: 32_769 }, () => allow[0].parts[0]))),
    'allow has more than a log can hold',
  )
})

t.test('no text of a host ends its quotes or its comment', async (t) => {
  const value = JSON.parse(jsonOf(suggested(t, [lineOf(SHOP)], ENFORCED)))
  value.allow[0].parts[0].user = 'x]\nmode: observe\n#'
  value.allow[0].parts[0].programs = ['/bin/x\nmode: observe']
  value.notes = ['a\nmode: observe']
  const read = readSuggestion('web\n1', JSON.stringify(value)) as HostSuggestion
  const { suggestion, notes } = mergeHosts([read])
  t.notMatch(yamlOf(suggestion, 'the logs of 1 host', notes), /^mode:/m)
})
