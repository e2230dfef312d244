/** Tests that the tripwire recognises who scans at the tenth destination, and no ordinary load. */
import t from 'tap'
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { TCPHDR_ACK, TCPHDR_SYN } from '../../../src/core/packet/packet.js'
import type { SenderDetails } from '../../../src/core/packet/sender.js'
import { MALFORMED, NAME_NOT_ALLOWED, NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import { BlockAggregator } from '../../../src/core/record/block-summary.js'
import { Tripwire } from '../../../src/core/record/tripwire.js'
import { packet, ROOMY, SEED } from './watching.js'

interface Blocked {
  readonly to: string
  readonly port?: number
  readonly protocol?: number
  readonly flags?: number
  readonly uid?: number
  readonly place?: number
  readonly question?: string
  readonly isMalformed?: boolean
}

/** Makes a tripwire behind a block aggregator, as in the service, with a clock. @param names addresses and their names */
function armed(
  names: Readonly<Record<string, string>> = {},
  details: SenderDetails = { attribution: 'found' },
) {
  const limits = { destinations: 10, window: 10 }
  let current = limits
  const domains = new Map(
    Object.entries(names).map(([to, name]) => [packet({ to }).destination.join(), name]),
  )
  const domainOf = ({ destination }: { destination: Uint32Array }) => domains.get(destination.join())
  const aggregator = new BlockAggregator(ROOMY, SEED, 0, domainOf)
  const tripwire = new Tripwire({ limits: () => current, isResolver: (uid) => uid === 53, domainOf })
  let now = 0
  return {
    tripwire,
    block({ to, uid = 33, place = 2, question, flags = TCPHDR_SYN, isMalformed, ...rest }: Blocked) {
      const each = packet({ to, ...rest })
      each.tcpFlags = flags
      const decision = isMalformed ? MALFORMED : question === undefined ? NOT_ALLOWLISTED : NAME_NOT_ALLOWED
      const sender = { place, unitCgroup: `/system.slice/${place}.service`, describe: () => details }
      const noted = aggregator.note(each, uid, decision, sender, question)
      tripwire.note(each, uid, decision, sender, noted, now)
      return tripwire.take()
    },
    /** Lets seconds pass. @returns the bursts that have ended */
    pass(seconds: number) {
      const ended = []
      for (const end = now + seconds * 1000; now < end; ) {
        now += 1000
        aggregator.tick(now)
        ended.push(...tripwire.tick(now))
      }
      return ended
    },
    limit(destinations: number) {
      current = { destinations, window: 10 }
    },
  }
}

/** Does something again and again, some seconds apart. */
const again = (
  { pass }: ReturnType<typeof armed>,
  times: number,
  seconds: number,
  act: () => readonly unknown[],
): unknown[] =>
  Array.from({ length: times }, () => {
    pass(seconds)
    return act()
  }).flat()

const host = (n: number) => `203.0.113.${n}`

t.test('the tenth destination in the window is an alert, with who, where to and since when', async (t) => {
  const { block, pass } = armed(
    {},
    { attribution: 'found', unit: 'web.service', executable: '/usr/bin/worm' },
  )
  for (let n = 1; n < 10; n++) {
    t.same(block({ to: host(n), port: 445 }), [])
    block({ to: host(n), port: 445 })
    if (n % 3 === 0) pass(1)
  }
  t.match(block({ to: host(10), port: 445 }), [
    {
      uid: 33,
      who: { unit: 'web.service', executable: '/usr/bin/worm' },
      cgroup: '/system.slice/2.service',
      contacts: 10,
      blocks: 19,
      start: 0,
      last: 3000,
    },
  ])
  for (let n = 11; n < 200; n++) t.same(block({ to: host(n) }), [], 'one alert a burst')
  t.same(pass(9), [])
  t.match(
    pass(1),
    [{ blocks: 19 + 189, contacts: 10 }],
    'the end is told after a window without a new destination',
  )
  for (let n = 1; n < 10; n++) t.same(block({ to: `198.51.100.${n}` }), [])
  const [again] = block({ to: '198.51.100.10' })
  t.match(again, { blocks: 10, contacts: 10 }, 'the next burst is one of its own')
  t.match(again!.destinations, { length: 10, 0: 'tcp 198.51.100.1 port 443' })
})

t.test('a scan slower than the window is none', async (t) => {
  const { block, pass } = armed()
  for (let n = 1; n < 60; n++) {
    t.same(block({ to: host(n) }), [])
    pass(2)
  }
})

t.test('ordinary loads trip nothing', async (t) => {
  const backend = Array.from({ length: 24 }, (_, n) => `198.51.100.${n + 1}`)
  const names = Object.fromEntries(backend.map((to) => [to, 'backend.example.org']))
  const eyeballs = { '198.51.100.200': 'www.example.org', '2001:db8::200': 'www.example.org' }
  const loads: Readonly<Record<string, (armed_: ReturnType<typeof armed>) => readonly unknown[]>> = {
    'a cron job that tries again': (armed_) =>
      again(armed_, 240, 60, () => armed_.block({ to: host(1), port: 25 })),
    'a client that tries a dead backend, all its addresses, again and again': (armed_) =>
      again(armed_, 30, 5, () => backend.flatMap((to) => armed_.block({ to }))),
    'happy eyeballs, over IPv4 and IPv6, by TCP and QUIC': (armed_) =>
      again(armed_, 30, 1, () =>
        Object.keys(eyeballs).flatMap((to) =>
          [IPPROTO_TCP, IPPROTO_UDP].flatMap((protocol) => armed_.block({ to, protocol })),
        ),
      ),
    'a resolver, which asks servers all over the world': ({ block }) =>
      Array.from({ length: 200 }, (_, n) => [
        ...block({ to: host(n), port: 53, protocol: IPPROTO_UDP, uid: 53 }),
        ...block({ to: host(n), port: 853, uid: 53 }),
      ]).flat(),
    'segments of connections that are gone': ({ block }) =>
      Array.from({ length: 200 }, (_, n) => [
        ...block({ to: host(n), flags: TCPHDR_ACK, uid: -1 }),
        ...block({ to: host(n), flags: TCPHDR_SYN | TCPHDR_ACK }),
      ]).flat(),
    'packets that cannot be read': ({ block }) =>
      Array.from({ length: 50 }, (_, n) => block({ to: host(n), isMalformed: true })).flat(),
    'a few programs of one user in units of their own': ({ block }) =>
      Array.from({ length: 45 }, (_, n) => block({ to: host(n), place: 2 + (n % 5) })).flat(),
  }
  for (const [name, load] of Object.entries(loads)) t.same(load(armed({ ...names, ...eyeballs })), [], name)
})

t.test('scans of any protocol, of names, and without a user are recognised', async (t) => {
  const scans: Readonly<Record<string, (n: number) => Blocked>> = {
    datagrams: (n) => ({ to: host(n), protocol: IPPROTO_UDP }),
    echoes: (n) => ({ to: host(n), protocol: IPPROTO_ICMP, port: 0 }),
    ports: (n) => ({ to: host(1), port: n }),
    'IPv6 addresses': (n) => ({ to: `2001:db8::${n}` }),
    names: (n) => ({ to: host(1), port: 53, protocol: IPPROTO_UDP, question: `n${n}.example.org` }),
    'a resolver at other ports': (n) => ({ to: host(n), port: 22, uid: 53 }),
    'packets without a user': (n) => ({ to: host(n), uid: -1, place: 0 }),
    'units that were not looked up, or not found': (n) => ({ to: host(n), place: n % 2 }),
  }
  for (const [name, scan] of Object.entries(scans)) {
    const { block } = armed()
    for (let n = 1; n < 10; n++) t.same(block(scan(n)), [], name)
    t.equal(block(scan(10)).length, 1, name)
  }
  const { block } = armed()
  for (let n = 1; n < 10; n++) block({ to: host(n), protocol: IPPROTO_ICMP, port: 0 })
  t.match(block({ to: host(10), protocol: IPPROTO_ICMP, port: 0 })[0]!.destinations, ['icmp 203.0.113.1'])
  const asking = armed()
  for (let n = 1; n < 10; n++) asking.block({ to: host(1), question: `n${n}.example.org` })
  t.match(asking.block({ to: host(1), question: 'last.example.org' })[0]!.destinations, ['n1.example.org'])
})

t.test('an attacker with a name server does not hide a scan behind names', async (t) => {
  const names = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [host(n), `n${n % 10}.example.org`]))
  const { block } = armed(names)
  const alerts = Array.from({ length: 200 }, (_, n) => block({ to: host(n) })).flat()
  t.equal(alerts.length, 1)
  t.match(alerts[0]!.destinations.at(-1), /^tcp 203\.0\.113\.\d+ \(n\d\.example\.org\) port 443$/)
})

t.test(
  'a flood that has used up its lines is recognised, too, and a user with very many units',
  async (t) => {
    const { block, pass } = armed({ [host(99)]: 'www.example.org' })
    // A user has 32 lines at once here: after them blocks are suppressed.
    for (let n = 0; n < 100; n++) block({ to: host(1), port: 1000 + n })
    pass(10)
    const alerts = Array.from({ length: 60 }, (_, n) => block({ to: host(40 + n) })).flat()
    t.equal(alerts.length, 1)
    const many = armed()
    const found = Array.from({ length: 100 }, (_, n) => many.block({ to: host(n), place: 2 + n })).flat()
    t.equal(found.length, 1, 'units beyond the eighth are watched as one')
  },
)

t.test(
  'packets whose unit is not known are part of the burst of their user, and no second one',
  async (t) => {
    const { block, pass } = armed()
    const alerts = Array.from({ length: 60 }, (_, n) =>
      block({ to: host(n), place: n % 3 === 0 ? 1 : 2 }),
    ).flat()
    t.equal(alerts.length, 1)
    const ended = pass(12)
    t.match(ended, [{ blocks: 60 - 5 }], 'but for those before the alert')
    for (let n = 100; n < 109; n++)
      t.same(block({ to: host(n), place: 1 }), [], 'afterwards they count by themselves')
  },
)

t.test('memory is bounded: users who were not blocked for long are forgotten first', async (t) => {
  const { block } = armed()
  for (let n = 1; n < 10; n++) block({ to: host(n) })
  for (let uid = 1000; uid < 1070; uid++) block({ to: host(1), uid })
  t.same(block({ to: host(10) }), [], 'the nine are forgotten')
})

t.test('other limits begin a new count', async (t) => {
  const { block, pass, limit } = armed()
  for (let n = 1; n < 10; n++) block({ to: host(n) })
  limit(5)
  pass(1)
  for (let n = 1; n < 5; n++) t.same(block({ to: `198.51.100.${n}` }), [])
  t.equal(block({ to: '198.51.100.5' }).length, 1)
})

t.test('the alert names the program where one of the contacts has it', async (t) => {
  const who: { executable?: string } = {}
  const { block } = armed({}, {
    attribution: 'found',
    unit: 'web.service',
    get executable() {
      return who.executable
    },
  } as SenderDetails)
  for (let n = 1; n < 10; n++) {
    if (n === 4) who.executable = '/usr/bin/worm'
    block({ to: host(n) })
    delete who.executable
  }
  t.match(block({ to: host(10) }), [{ who: { unit: 'web.service' } }])
})
