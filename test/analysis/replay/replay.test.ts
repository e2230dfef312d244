import t, { type Test } from 'tap'
import { Replay, type Replayed } from '../../../src/analysis/replay/replay.js'
import { replayJson } from '../../../src/analysis/replay/replay-json.js'
import { replayText } from '../../../src/commands/replay-text.js'
import { passedOf } from '../../../src/records/accepted-flows-format.js'
import { readLine } from '../../../src/records/block-log/event-reader.js'
import { configOf, loadText } from '../../config/files.js'
import { BEGIN, type Event, lineOf, suppressed } from '../../records/block-log/events.js'
import { policyFor, RESOLVER, sameAsGolden } from '../suggest/suggesting.js'

const ROOT = { user: 'root', uid: 0 }
const PHP = { unit: 'php8.2-fpm.service', program: '/usr/sbin/php-fpm8.2' }

/** Replays a log against the policy of a configuration. */
function replayed(t: Test, yaml: string, lines: readonly string[], passed?: unknown): Replayed {
  const replay = new Replay(policyFor(configOf(loadText(t, `mode: enforce\n${yaml}`))), BEGIN)
  for (const text of lines) {
    const line = readLine(text)
    if (line?.kind === 'block') replay.note(line)
  }
  return replay.result(passed === undefined ? undefined : passedOf({ kinds: passed }))
}

/** Returns verdict and reason of a single event, with the rule that it matches. */
function verdictOf(t: Test, yaml: string, event: Event, learned: readonly Event[] = []): string {
  const { blocked } = replayed(t, yaml, [...learned, event].map(lineOf))
  const own = [...blocked.accept.kinds, ...blocked.block.kinds].at(-1)
  const judged =
    own &&
    ([...blocked.accept.kinds, ...blocked.block.kinds].find(({ count }) => count === event.repeat) ?? own)
  return judged === undefined
    ? 'not judged'
    : [judged.decision.reason, judged.decision.rule?.spec.name].join(' ').trim()
}

const once = (event: Event): Event => ({ repeat: 77, ...event })

t.test('each condition of a rule counts: destination, port, protocol, user, unit, expiry', async (t) => {
  const yaml = `allow: [{ name: api, to: [203.0.113.0/24], ports: [443], users: [www-data], units: [php8.2-fpm.service], expires: 2024-11-27 }]`
  t.equal(verdictOf(t, yaml, once(PHP)), 'rule api')
  for (const other of [
    { to: '198.51.100.1' },
    { port: 80 },
    { transport: 'udp' },
    { uid: 0, user: 'root' },
    { unit: 'nginx.service' },
    { unit: undefined },
    { uid: undefined, user: undefined },
  ])
    t.equal(verdictOf(t, yaml, once({ ...PHP, ...other })), 'not-allowlisted', JSON.stringify(other))
  t.equal(
    verdictOf(t, yaml.replace('2024-11-27', '2024-11-26'), once(PHP)),
    'not-allowlisted',
    'the rule has expired',
  )
})

t.test('a name has all addresses that the log contains for it, earlier or later', async (t) => {
  const yaml = 'allow: [{ name: api, to: [api.example.org, "*.cdn.example.org"] }]'
  t.equal(verdictOf(t, yaml, once({ domain: 'api.example.org' })), 'rule api')
  t.equal(verdictOf(t, yaml, once({ domain: 'a.cdn.example.org' })), 'rule api')
  t.equal(verdictOf(t, yaml, once({ domain: 'other.example.org' })), 'not-allowlisted')
  t.equal(verdictOf(t, yaml, once({})), 'not-allowlisted')
  t.equal(
    verdictOf(t, yaml, once({}), [{ at: 9, domain: 'api.example.org', uid: 1000, user: 'deploy' }]),
    'rule api',
  )
})

t.test('a DNS query is judged by the name that it asked for', async (t) => {
  const question = {
    to: RESOLVER,
    port: 53,
    transport: 'udp',
    reason: 'name-not-allowed',
    question: 'api.example.org',
  }
  const enforced = 'dns: { enforceNames: true }\n'
  const allow = 'allow: [{ name: api, to: [api.example.org] }]'
  t.equal(verdictOf(t, enforced, once(question)), 'name-not-allowed')
  t.equal(verdictOf(t, `${enforced}${allow}`, once(question)), 'resolver resolver')
  t.equal(verdictOf(t, `${enforced}${allow}`, once({ ...question, transport: 'tcp' })), 'resolver resolver')
  t.equal(
    verdictOf(t, `${enforced}${allow}`, once({ ...question, question: 'evil.example.net' })),
    'name-not-allowed',
  )
  t.equal(
    verdictOf(t, allow, once({ ...question, question: 'evil.example.net' })),
    'resolver resolver',
    'names are not enforced',
  )
  for (const odd of ['..', 'x'.repeat(64), `${'a.'.repeat(200)}b`])
    t.equal(verdictOf(t, `${enforced}${allow}`, once({ ...question, question: odd })), 'name-not-allowed')
})

t.test('a port that root chose itself fits no rule with users, as in the service', async (t) => {
  const ntp = { ...ROOT, port: 123, transport: 'udp' }
  const yaml = 'allow: [{ name: ntp, to: [203.0.113.7], protocol: udp, users: [root] }]'
  t.equal(verdictOf(t, yaml, once({ ...ntp, fromPort: 40000 })), 'rule ntp')
  t.equal(verdictOf(t, yaml, once({ ...ntp, fromPort: 123 })), 'not-allowlisted')
})

t.test(
  'a malformed packet stays blocked; an event that cannot be judged is reported with the reason',
  async (t) => {
    const all = 'allow: [{ name: all, to: [0.0.0.0/0, "::/0"], protocol: any }]'
    const { blocked, evidence } = replayed(t, all, [
      lineOf({ reason: 'malformed', repeat: 3 }),
      lineOf({ repeat: 5 }),
      lineOf({ transport: '132', repeat: 7 }),
      lineOf({ repeat: 11, more: { 'destination.ip': 'nowhere' } }),
      lineOf({ repeat: 13, more: { 'network.transport': 'quic' } }),
      lineOf({ repeat: 17, more: { 'destination.port': undefined } }),
      suppressed(100),
    ])
    t.same([blocked.accept.count, blocked.block.count], [12, 3])
    t.same([...blocked.unjudged].sort(), [
      ['no-destination', 41],
      ['suppressed', 100],
    ])
    t.equal(evidence.blocks, 156)
  },
)

t.test('the sum stays exact when the log has more kinds of events than are kept', async (t) => {
  const flood = Array.from({ length: 5000 }, (_, i) =>
    lineOf({ to: `203.0.${i >> 8}.${i & 255}`, repeat: 2 }),
  )
  const { blocked, evidence } = replayed(t, 'allow: [{ name: half, to: [203.0.8.0/21] }]', flood)
  t.equal(evidence.blocks, 10_000)
  t.equal(blocked.accept.count, 2 * 2048)
  t.equal(blocked.block.count, 2 * (5000 - 2048))
  t.equal(blocked.accept.more, 2 * 2048, 'these blocks belong to kinds that are not listed')
})

const kind = (some: object = {}) => ({
  uid: 33,
  user: 'www-data',
  transport: 'tcp',
  address: '203.0.113.7',
  port: 443,
  sourcePort: 40000,
  reason: 'rule',
  rule: 'api',
  count: 7,
  first: '2024-11-26T08:00:00Z',
  last: '2024-11-26T08:00:00Z',
  ...some,
})

t.test('accepted flows are judged by the candidate policy as well', async (t) => {
  const yaml = 'allow: [{ name: api, to: [203.0.113.7, api.example.org], ports: [443] }]'
  const { passed } = replayed(
    t,
    yaml,
    [],
    [
      kind(),
      kind({ port: 80, count: 5 }),
      kind({ address: '203.0.113.9', count: 3 }),
      kind({ address: '203.0.113.10', domain: 'api.example.org', count: 2 }),
    ],
  )
  t.same([passed!.accept.count, passed!.block.count], [9, 8])
  t.same(
    passed!.block.kinds.map(({ kind }) => [kind.address, kind.port]),
    [
      ['203.0.113.7', 80],
      ['203.0.113.9', 443],
    ],
  )
})

t.test(
  'where a verdict depends on something that was not recorded, the flow counts as not judged',
  async (t) => {
    const units = 'allow: [{ name: api, to: [203.0.113.7], units: [php8.2-fpm.service] }]'
    const of = (units?: string[]) => kind(units && { units })
    const { passed } = replayed(
      t,
      units,
      [],
      [of(), of([]), of(['php8.2-fpm.service']), of(['php8.2-fpm.service', 'nginx.service'])],
    )
    t.same([passed!.accept.count, passed!.block.count, [...passed!.unjudged]], [7, 7, [['no-unit', 14]]])

    const asked = kind({
      transport: 'udp',
      address: RESOLVER,
      port: 53,
      reason: 'resolver',
      rule: 'resolver',
    })
    const names = replayed(t, 'dns: { enforceNames: true }\n', [], [asked]).passed!
    t.same([names.accept.count, names.block.count, [...names.unjudged]], [0, 0, [['no-name', 7]]])
    t.equal(replayed(t, '', [], [asked]).passed!.accept.count, 7)
  },
)

t.test('a damaged file of accepted flows is read as far as it is valid', async (t) => {
  for (const odd of [
    undefined,
    null,
    5,
    'x',
    [],
    { kinds: 7 },
    { kinds: [null, 5, {}, [], kind({ count: -1 }), kind({ address: 'x' })] },
  ])
    t.same(passedOf(odd), [])
  t.match(passedOf({ kinds: [kind({ uid: 'x', port: 70000, units: [5, 'a.service'], user: {} })] }), [
    { uid: undefined, port: undefined, units: ['a.service'], user: undefined, count: 7 },
  ])
})

const YAML = `allow:
  - { name: api, to: [api.example.org], ports: [443], users: [www-data] }
  - { name: database, to: [198.51.100.20], ports: [5432] }
`
const TEXTS = {
  policy: '/tmp/new/checkvalve.yaml',
  log: '/var/log/checkvalve/blocks.json',
  passed: 'by the running service',
  notes: ['its mode is observe: it would block nothing, only record'],
}
const DAY = [
  lineOf({ domain: 'api.example.org', repeat: 1100, ...PHP }),
  lineOf({ domain: 'api.example.org', to: '203.0.113.8', repeat: 100, at: 3600, ...PHP }),
  lineOf({ to: '198.51.100.20', port: 5432, repeat: 4, ...PHP }),
  lineOf({
    to: '203.0.113.200',
    port: 22,
    repeat: 130,
    user: 'deploy',
    uid: 1000,
    unit: 'app.service',
    program: '/tmp/.x/worm',
  }),
  ...Array.from({ length: 35 }, (_, i) =>
    lineOf({ to: `203.0.114.${i}`, at: i * 100, user: 'deploy', uid: 1000 }),
  ),
  suppressed(9488, 7000),
]
const PASSED = [
  kind({ address: '198.51.100.30', port: 6379, rule: 'redis', count: 12, units: ['app.service'] }),
  kind({ address: '198.51.100.20', port: 5432, rule: 'database' }),
]

/** Leaves out the path of the configuration, which differs at each run. */
const stable = (text: string) => text.replaceAll(/[^\s("]*main\.yaml/g, '/tmp/new/checkvalve.yaml')

t.test('the text output fits a terminal, groups events by kind, and its totals add up', async (t) => {
  const text = stable(replayText(replayed(t, YAML, DAY, PASSED), TEXTS))
  sameAsGolden(t, 'replay.txt', text)
  for (const line of text.split('\n')) t.ok(line.length <= 80, line)
  sameAsGolden(
    t,
    'replay-nothing.txt',
    replayText(replayed(t, YAML, []), {
      ...TEXTS,
      notes: [],
      passed:
        'What was accepted is not known: the service does not run here (nobody listens on /run/checkvalve/control.sock): systemctl start checkvalve, or set control.socket.',
    }),
  )
})

t.test('no field of the log can control the terminal', async (t) => {
  const hostile = 'a\x1b[2J\n\u202e 5  root'
  const more = Object.fromEntries(
    ['user.name', 'process.executable', 'checkvalve.unit', 'destination.domain', 'event.reason'].map(
      (field) => [field, hostile],
    ),
  )
  const text = replayText(
    replayed(
      t,
      YAML,
      [lineOf({ more })],
      [kind({ user: hostile, domain: hostile, rule: hostile, transport: hostile, reason: hostile })],
    ),
    TEXTS,
  )
  t.match(text, /^[\x20-\x7e\n]*$/)
  t.notMatch(text, / 5 {2}root/)
})

t.test('the JSON output has all kinds, and the file and line of each rule', async (t) => {
  const written = JSON.parse(stable(replayJson(replayed(t, YAML, DAY, PASSED), TEXTS)))
  t.match(written, {
    policy: '/tmp/new/checkvalve.yaml',
    blocks: 10_857,
    blocked: { passesNow: { count: 1204 }, blockedNow: { count: 165 }, notJudged: { suppressed: 9488 } },
    passed: {
      passesNow: { count: 7 },
      blockedNow: { count: 12, kinds: [{ port: 6379, units: ['app.service'] }] },
    },
  })
  t.equal(written.blocked.blockedNow.kinds.length, 36)
  t.match(written.blocked.passesNow.kinds[0], {
    count: 1100,
    user: 'www-data',
    domain: 'api.example.org',
    now: { reason: 'rule', rule: 'api', file: '/tmp/new/checkvalve.yaml', line: 3 },
  })
})
