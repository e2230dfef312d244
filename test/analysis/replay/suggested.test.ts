import t, { type Test } from 'tap'
import { PolicyTrial } from '../../../src/analysis/recorded/policy-trial.js'
import { Replay } from '../../../src/analysis/replay/replay.js'
import { yamlOf } from '../../../src/analysis/suggest/suggestion-yaml.js'
import { readLine } from '../../../src/records/block-log/event-reader.js'
import { configOf, loadText } from '../../config/files.js'
import { words } from '../../core/packets.js'
import { seededRandom } from '../../core/random.js'
import { BEGIN, type Event, lineOf } from '../../records/block-log/events.js'
import { policyFor, suggested } from '../suggest/suggesting.js'

const USERS = [
  { uid: 0, user: 'root' },
  { uid: 33, user: 'www-data' },
  { uid: 4711, user: 'gone' },
] as const
const UNITS = ['a.service', 'b.service', undefined] as const
const PORTS = [80, 443, 5432] as const
const TRANSPORTS = ['tcp', 'udp', 'icmp'] as const
/** Some of these addresses have a name, one has two. */
const HOSTS = ['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4', '2001:db8::5'] as const
const NAMES: Readonly<Record<string, readonly string[]>> = {
  '203.0.113.1': ['a.example.org'],
  '203.0.113.2': ['a.example.org', 'b.example.org'],
  '203.0.113.3': ['c.example.org'],
}

type Chosen = Event & { readonly to: string; readonly uid: number; readonly transport: string }

/** Makes events that are too slow to count as a scan. */
function log(random: (limit: number) => number, count: number): Chosen[] {
  return Array.from({ length: count }, (_, i) => {
    const to = HOSTS[random(HOSTS.length)]!
    const names = [...(NAMES[to] ?? []), undefined]
    const transport = TRANSPORTS[random(TRANSPORTS.length)]!
    return {
      ...USERS[random(USERS.length)]!,
      at: i * 60,
      to,
      transport: transport === 'icmp' && to.includes(':') ? 'ipv6-icmp' : transport,
      port: PORTS[random(PORTS.length)]!,
      domain: names[random(names.length)],
      unit: UNITS[random(UNITS.length)],
      repeat: 1 + random(9),
    }
  })
}

/** Returns the destination that `suggest` promises to use for an event. */
function placeOf(event: Chosen, events: readonly Chosen[]): string {
  if (event.domain !== undefined) return event.domain
  const own = events.filter(
    ({ uid, to, domain }) => uid === event.uid && to === event.to && domain !== undefined,
  )
  const names = new Set(own.map(({ domain }) => domain))
  return names.size === 1 ? [...names][0]! : event.to
}

const protocolOf = ({ transport }: Chosen) => transport.replace('ipv6-', '')
const portOf = (event: Chosen) => (protocolOf(event) === 'icmp' ? undefined : event.port)

/**
 * Returns whether a log has a matching event: this user, protocol and port, a destination with this address,
 * and this unit or an unknown one.
 */
function wasSeen(events: readonly Chosen[], asked: Chosen): boolean {
  const names = new Set(events.filter(({ to }) => to === asked.to).map(({ domain }) => domain))
  const alike = events.filter(
    (event) =>
      event.uid === asked.uid &&
      protocolOf(event) === protocolOf(asked) &&
      portOf(event) === portOf(asked) &&
      (placeOf(event, events) === asked.to || names.has(placeOf(event, events))),
  )
  return alike.some((one) => {
    const same = alike.filter((other) => placeOf(other, events) === placeOf(one, events))
    return one.unit === asked.unit || same.some(({ unit }) => unit === undefined)
  })
}

function candidate(t: Test, events: readonly Chosen[]) {
  const yaml = yamlOf(suggested(t, events.map(lineOf)), 'log')
  return policyFor(configOf(loadText(t, `mode: enforce\n${yaml}\n`)))
}

t.test(
  'a policy with the suggestions for a log blocks nothing of that log, and the sum is exact',
  async (t) => {
    const random = seededRandom(7)
    for (let round = 0; round < 60; round++) {
      const events = log(random, 1 + random(60))
      const replay = new Replay(candidate(t, events), BEGIN)
      for (const event of events) {
        const line = readLine(lineOf(event))
        if (line?.kind === 'block') replay.note(line)
      }
      const { blocked, evidence } = replay.result(undefined)
      const sum = events.reduce((blocks, { repeat }) => blocks + repeat!, 0)
      t.same(
        [evidence.blocks, blocked.accept.count, blocked.block.count, [...blocked.unjudged]],
        [sum, sum, 0, []],
      )
    }
  },
)

t.test('a policy with the suggestions for a log allows nothing that the log does not have', async (t) => {
  const random = seededRandom(8)
  let passing = 0
  let asked = 0
  for (let round = 0; round < 60; round++) {
    const events = log(random, 1 + random(30))
    const judge = new PolicyTrial(candidate(t, events), BEGIN)
    for (const { domain, to } of events) if (domain !== undefined) judge.learn(domain, hostOf(to))
    for (const one of everything()) {
      const decision = judge.judge({
        ...one,
        reason: 'not-allowlisted',
        host: hostOf(one.to),
        port: portOf(one),
        sourcePort: 40000,
        unit: one.unit,
        question: undefined,
      })
      const passes = decision?.verdict === 'accept'
      const seen = wasSeen(events, one)
      if (passes !== seen) t.equal(passes, seen, JSON.stringify([one, events]))
      passing += Number(passes)
      asked++
    }
  }
  t.ok(passing > asked / 50 && passing < asked / 2, `${passing} of ${asked} combinations are accepted`)
})

const hostOf = (to: string) => ({ family: to.includes(':') ? (6 as const) : (4 as const), words: words(to) })

/** Yields every combination of the log, and some that it does not have. */
function* everything(): Generator<Chosen> {
  for (const user of [...USERS, { uid: 1000, user: 'deploy' }])
    for (const unit of [...UNITS, 'c.service'])
      for (const to of [...HOSTS, '203.0.113.9'])
        for (const transport of [...TRANSPORTS.slice(0, 2), to.includes(':') ? 'ipv6-icmp' : 'icmp'])
          for (const port of transport.includes('icmp') ? [0] : [...PORTS, 22])
            yield { ...user, unit, to, transport, port }
}
