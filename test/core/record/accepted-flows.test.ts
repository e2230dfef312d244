import t from 'tap'
import { IPPROTO_TCP } from '../../../src/core/packet/ip.js'
import { Packet } from '../../../src/core/packet/packet.js'
import { compile, SESSION } from '../../../src/core/policy/policy.js'
import type { Decision } from '../../../src/core/policy/rule.js'
import { AcceptedFlows } from '../../../src/core/record/accepted-flows.js'
import { words } from '../packets.js'

const SEED = Uint32Array.of(1, 2)
const NOW = 1_800_000_000_000
const MIRROR = ruleOf('mirrors')

function ruleOf(name: string): Decision {
  const spec = {
    reason: 'mirror',
    name,
    protocol: 'tcp',
    ports: [],
    prefixes: [],
    names: [],
    domains: [],
  } as const
  return compile(spec).accept
}

function packet(to: string, port = 80, sourcePort = 40_000): Packet {
  const made = Object.assign(new Packet(), {
    family: to.includes(':') ? 6 : 4,
    protocol: IPPROTO_TCP,
    destinationPort: port,
    sourcePort,
  })
  made.destination.set(words(to))
  return made
}

const nothing = () => ({ unit: undefined, domain: undefined })

t.test(
  'accepted packets are counted by flow; details are looked up for the first packets and some others',
  async (t) => {
    const passed = new AcceptedFlows(10, SEED)
    let asked = 0
    const details = () => {
      asked++
      return { unit: 'apt.service', domain: 'mirror.example.org' }
    }
    const other = ruleOf('mirrors:80')
    passed.note(packet('192.0.2.1'), 0, MIRROR, NOW, details)
    passed.note(packet('192.0.2.1', 80, 41_000), 0, other, NOW + 5, details)
    passed.note(packet('2001:db8::1'), 0, MIRROR, NOW + 1, nothing)
    passed.note(packet('192.0.2.1'), 33, MIRROR, NOW + 2, nothing)
    passed.note(packet('192.0.2.1', 443), 0, MIRROR, NOW + 3, nothing)
    t.equal(asked, 2)
    t.same([passed.packets, passed.evicted, passed.flows.length], [5, 0, 4])
    t.same(passed.flows.at(-1), {
      uid: 0,
      family: 4,
      protocol: IPPROTO_TCP,
      destination: words('192.0.2.1'),
      destinationPort: 80,
      sourcePort: 41_000,
      units: ['apt.service'],
      domain: 'mirror.example.org',
      reason: 'mirror',
      rule: 'mirrors:80',
      count: 2,
      first: NOW,
      last: NOW + 5,
    })
  },
)

t.test(
  'all units of a flow are found, also a rare one, and its name is looked up until it is known',
  async (t) => {
    const passed = new AcceptedFlows(10, SEED)
    let asked = 0
    const note = (unit: string | undefined, domain?: string) =>
      passed.note(packet('192.0.2.1'), 0, MIRROR, NOW, () => {
        asked++
        return { unit, domain }
      })
    note(undefined)
    note('app.service')
    note('cron.service', 'mirror.example.org')
    for (let i = 0; i < 10_000; i++) note(i % 7 === 0 ? 'rare.service' : 'app.service', 'other.example.org')
    const [kind] = passed.flows
    t.match(kind, { units: ['app.service', 'cron.service', 'rare.service'], domain: 'mirror.example.org' })
    t.ok(asked < 200, `${asked} of ${kind!.count} packets were looked up`)
    for (let i = 0; i < 64_000; i++) note(`u${i}.service`)
    t.equal(passed.flows[0]!.units.length, 8)
  },
)

t.test('replies to clients are not counted: no rule changes their verdict', async (t) => {
  const passed = new AcceptedFlows(10, SEED)
  passed.note(packet('192.0.2.1'), 33, SESSION, NOW, nothing)
  t.same([passed.packets, passed.flows], [0, []])
})

t.test('for any number of flows, the newest are kept, and evictions are counted', async (t) => {
  const passed = new AcceptedFlows(16, SEED)
  for (let i = 0; i < 1000; i++) {
    passed.note(packet(`198.18.${i >> 8}.${i & 255}`), 0, MIRROR, NOW + i, nothing)
    passed.note(packet('192.0.2.1'), 0, MIRROR, NOW + i, nothing)
  }
  t.ok(passed.flows.length <= 16)
  t.equal(passed.evicted + passed.flows.length, 1001)
  t.equal(passed.packets, 2000)
  const kept = passed.flows.find(({ destination }) => destination[0] === words('192.0.2.1')[0])
  t.equal(kept?.count, 1000, 'a flow that continues is kept')
})

t.test('a user with very many destinations evicts no flow of other users', async (t) => {
  const passed = new AcceptedFlows(16, SEED)
  passed.note(packet('192.0.2.1'), 0, MIRROR, NOW, nothing)
  for (let i = 0; i < 1000; i++)
    passed.note(packet(`198.18.${i >> 8}.${i & 255}`), 33, MIRROR, NOW + 1 + i, nothing)
  t.equal(passed.flows[0]?.uid, 0)
  for (let i = 0; i < 1000; i++) passed.note(packet('192.0.2.1'), 1000 + i, MIRROR, NOW + 2000 + i, nothing)
  t.ok(passed.flows.length > 16 - 2, 'several flows are evicted at once, for any number of users')
  t.equal(passed.evicted + passed.flows.length, 2001)
})

t.test('the flows of an earlier run are continued', async (t) => {
  const before = new AcceptedFlows(10, SEED)
  for (let i = 1; i <= 3; i++) before.note(packet(`192.0.2.${i}`), 0, MIRROR, NOW + i, nothing)
  const passed = new AcceptedFlows(2, Uint32Array.of(3, 4))
  passed.restore([...before.flows, ...before.flows])
  t.equal(passed.flows.length, 2)
  passed.note(packet('192.0.2.1'), 0, MIRROR, NOW + 9, nothing)
  t.match(passed.flows.at(-1), { count: 2, first: NOW + 1, last: NOW + 9 })
  t.equal(before.flows[0]?.count, 1, 'the earlier flows are not changed by that')
})
