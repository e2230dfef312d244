import t, { type Test } from 'tap'
import { jsonOf } from '../../../src/analysis/suggest/suggestion-json.js'
import { yamlOf } from '../../../src/analysis/suggest/suggestion-yaml.js'
import type { Config } from '../../../src/config/config.js'
import { formatDestination } from '../../../src/text/parse-address.js'
import { configOf, directoryOf, loadFrom } from '../../config/files.js'
import { type Event, lineOf, suppressed } from '../../records/block-log/events.js'
import { asked, ENFORCED, names, RESOLVER_UID, ROOT, sameAsGolden, suggested } from './suggesting.js'

const PHP = { unit: 'php8.2-fpm.service', program: '/usr/sbin/php-fpm8.2' }

/** Removes the line breaks of comments. */
const unwrapped = (text: string) => text.replaceAll(/\n *#+ +(?=[a-z0-9])/g, ' ')

const textOf = (t: Test, lines: readonly string[], yaml?: string) =>
  yamlOf(suggested(t, lines, yaml), '/var/log/checkvalve/blocks.json')

/** Loads a suggestion from conf.d and returns its entries. `check` must accept the whole text. */
function allowed(t: Test, lines: readonly string[], yaml = 'mode: enforce\n'): Config['allow'] {
  const files = { 'main.yaml': yaml, 'conf.d/suggested.yaml': `${textOf(t, lines, yaml)}\n` }
  return configOf(loadFrom(directoryOf(t, files))).allow
}

t.test("the blocks of a web server's day are suggested as the golden file has them", async (t) => {
  const scan = Array.from({ length: 253 }, (_, i) =>
    lineOf({
      at: 5000 + i / 100,
      to: `203.0.113.${i + 1}`,
      port: 22,
      user: 'deploy',
      uid: 1000,
      unit: 'app.service',
      program: '/tmp/.x/worm',
    }),
  )
  const lines = [
    ...[0, 60, 3600].map((at) =>
      lineOf({ at, domain: 'api.example.org', to: '198.51.100.7', repeat: 400, ...PHP }),
    ),
    lineOf({ at: 61, domain: 'api.example.org', to: '198.51.100.8', ...PHP }),
    lineOf({ at: 62, to: '2001:db8::7', ...PHP, isObserved: true }),
    lineOf({ at: 70, to: '198.51.100.20', port: 5432, ...PHP, repeat: 12 }),
    lineOf({
      at: 80,
      domain: 'files.example.org',
      to: '198.51.100.9',
      ...ROOT,
      unit: 'cron.service',
      program: '/usr/bin/curl',
    }),
    lineOf({
      at: 81,
      domain: 'files.example.org',
      to: '198.51.100.9',
      port: 80,
      ...ROOT,
      unit: 'cron.service',
      program: '/usr/bin/curl',
    }),
    lineOf({ at: 90, to: '198.51.100.21', transport: 'icmp', ...ROOT }),
    lineOf({ at: 91, to: '2001:db8::21', transport: 'ipv6-icmp', ...ROOT }),
    lineOf({ at: 92, to: '198.51.100.22', port: 123, fromPort: 123, transport: 'udp', ...ROOT }),
    lineOf({ at: 93, to: '198.51.100.23', user: undefined, uid: undefined }),
    lineOf({ at: 94, to: '198.51.100.24', transport: '132' }),
    lineOf({ at: 95, reason: 'malformed', repeat: 3 }),
    lineOf({ at: 96, to: '198.51.100.30', port: 6379, repeat: 7 }),
    ...scan,
    suppressed(9488, 6000),
  ]
  sameAsGolden(
    t,
    'suggest-day.txt',
    textOf(t, lines, 'mode: enforce\nallow: [{ name: redis, to: [198.51.100.30], ports: [6379] }]\n'),
  )
})

t.test('where names are enforced, the names of blocked DNS queries are suggested', async (t) => {
  const lines = [
    asked('api.example.org', { repeat: 20, ...PHP }),
    asked('www.example.net', PHP),
    lineOf({ at: 10, domain: 'www.example.net', to: '198.51.100.7', port: 8443, ...PHP }),
    asked('other.example.net', { user: 'systemd-resolve', uid: RESOLVER_UID }),
    asked('_http._tcp.example.net', ROOT),
    asked('7.100.51.198.in-addr.arpa', ROOT),
  ]
  sameAsGolden(t, 'suggest-names.txt', textOf(t, lines, ENFORCED))
})

t.test('a log without events gives no suggestions, in a file that can be used', async (t) => {
  sameAsGolden(t, 'suggest-nothing.txt', textOf(t, []))
  t.same(allowed(t, []), [])
  t.same(allowed(t, [lineOf({ reason: 'malformed' })]), [])
})

t.test('blocks that the configuration now allows are left out, and a comment reports that', async (t) => {
  const yaml = 'mode: enforce\nallow: [{ name: api, to: [api.example.org], users: [www-data] }]\n'
  const lines = [
    lineOf({ domain: 'api.example.org', repeat: 5 }),
    lineOf({ domain: 'other.example.org', to: '203.0.113.8' }),
  ]
  t.same(
    suggested(t, lines, yaml).entries.map(({ to }) => to.map(({ place }) => place)),
    [['other.example.org']],
  )
  t.match(textOf(t, lines, yaml), '# 5 blocks would pass now: the configuration allows them.')
  t.same(suggested(t, [lineOf({ domain: 'api.example.org' })], yaml).entries, [])
})

t.test(
  'blocks of addresses that a program keeps are left out, and a comment names the setting',
  async (t) => {
    const yaml = 'mode: enforce\nallow: [{ name: api, to: [api.example.org], users: [www-data] }]\n'
    const lines = [lineOf({ domain: 'api.example.org', repeat: 5, reason: 'address-expired' })]
    t.same(suggested(t, lines, yaml).entries, [])
    t.match(
      textOf(t, lines, yaml).replaceAll('\n# ', ' '),
      /5 blocks went to addresses .* raise dns\.keepUsed/,
    )
  },
)

t.test('an entry has a unit only when all of its blocks have that unit', async (t) => {
  const unitsOf = (...events: Event[]) => allowed(t, events.map(lineOf)).map(({ units }) => units)
  t.same(unitsOf(PHP, { ...PHP, at: 9 }), [['php8.2-fpm.service']])
  t.same(unitsOf(PHP, { at: 9 }), [undefined], 'one of the blocks has no unit')
  t.same(unitsOf(PHP, { unit: 'nginx.service' }), [['nginx.service', 'php8.2-fpm.service']])
  t.same(unitsOf(PHP, { port: 80 }), [['php8.2-fpm.service'], undefined], 'another port makes another entry')
  t.match(
    unwrapped(textOf(t, [PHP, { at: 9 }].map(lineOf))),
    'No units: some blocks came from php8.2-fpm.service; the units of the others are not known.',
  )
  t.notMatch(textOf(t, [{ at: 9 }].map(lineOf)), 'No units')
  t.same(unitsOf({ unit: 'no unit' }), [undefined], 'an invalid unit name counts as no unit')
})

t.test("an entry has a user's name only when the name leads back to the uid", async (t) => {
  const users = (event: Event) => suggested(t, [lineOf(event)]).entries[0]!.users
  t.same(users({ user: 'www-data', uid: 33 }), ['www-data'])
  t.same(users({ user: 'gone', uid: 4711 }), [4711])
  t.same(allowed(t, [lineOf({ user: 'gone', uid: 4711 })])[0]!.users, [4711])
})

t.test(
  "an address without a name gets the name that the user's other blocks have for it, when there is just one",
  async (t) => {
    const to = (...events: Event[]) =>
      suggested(t, events.map(lineOf)).entries.flatMap(({ to }) => to.map(({ place }) => place))
    const named = { domain: 'api.example.org', repeat: 9 }
    t.same(to(named, {}), ['api.example.org'])
    t.same(to(named, { domain: 'b.example.org', repeat: 5 }, {}), [
      'api.example.org',
      'b.example.org',
      '203.0.113.7',
    ])
    t.same(
      to({ ...named, user: 'deploy', uid: 1000 }, {}),
      ['api.example.org', '203.0.113.7'],
      'the blocks of other users give it no name',
    )
    t.same(to({ domain: 'not a name' }), ['203.0.113.7'])
    t.same(to({ domain: 'API.Example.ORG.' }), ['api.example.org'])
  },
)

t.test(
  'names are never merged into a wildcard; a comment reports when many are below one domain',
  async (t) => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) =>
        lineOf({ at: i * 100, domain: `n${i}.cdn.example.org`, to: `203.0.113.${i + 1}` }),
      )
    t.notMatch(textOf(t, many(8)), 'would allow them')
    const text = textOf(t, many(9))
    t.match(
      unwrapped(text),
      '9 names below cdn.example.org: "*.cdn.example.org" would allow them, and all others',
    )
    t.same(
      allowed(t, many(9))[0]!.to.map(({ kind }) => kind),
      Array(9).fill('name'),
    )
  },
)

t.test(
  'names of entries are unique, also beside those of the configuration, and the configuration accepts them',
  async (t) => {
    const yaml = 'mode: enforce\nallow: [{ name: www-data-203.0.113.7, to: [192.0.2.9] }]\n'
    const lines = [
      lineOf({ port: 1 }),
      lineOf({ port: 2, unit: 'x.service' }),
      lineOf({ port: 3, uid: 1000, user: 'deploy', to: '2001:db8::7' }),
      lineOf({ port: 4, unit: `${'u'.repeat(80)}.service` }),
      lineOf({ port: 5, unit: '-.mount' }),
    ]
    t.same(names(allowed(t, lines, yaml)).sort(), [
      '203.0.113.7',
      'deploy-2001-db8-7',
      'u'.repeat(60),
      'www-data-203.0.113.7',
      'www-data-203.0.113.7-2',
      'x-203.0.113.7',
    ])
  },
)

t.test('entries that look mergeable have a comment that explains why they are not merged', async (t) => {
  const lines = [
    lineOf({ to: '203.0.113.1', port: 80, repeat: 9 }),
    lineOf({ to: '203.0.113.1', port: 443, repeat: 9 }),
    lineOf({ to: '203.0.113.2', port: 443 }),
    lineOf({ to: '203.0.113.3', port: 25 }),
  ]
  const text = textOf(t, lines)
  t.match(unwrapped(text), 'Apart from www-data-tcp-443: not every port was seen at every destination.')
  t.equal(text.split('Apart from').length, 2)
  const crossed = [
    lineOf({ unit: 'a.service', repeat: 2 }),
    lineOf({ unit: 'b.service', user: 'deploy', uid: 1000 }),
  ]
  t.match(unwrapped(textOf(t, crossed)), 'Apart from a-203.0.113.7: not every user was seen in every unit.')
})

t.test('an entry for an updating user points to mirrors.hosts, only at the ports of mirrors', async (t) => {
  const hint = 'If updates come from there, add it to mirrors.hosts instead.'
  for (const user of [ROOT, { user: '_apt', uid: 42 }])
    for (const port of [80, 443]) t.match(textOf(t, [lineOf({ ...user, port })]), hint)
  t.notMatch(textOf(t, [lineOf({ ...ROOT, port: 8080 })]), hint)
  t.notMatch(textOf(t, [lineOf({ ...ROOT, transport: 'udp' })]), hint)
  t.notMatch(textOf(t, [lineOf({})]), hint)
})

t.test('for any contents of a field, `check` accepts the text, and its comments stay comments', async (t) => {
  const hostile = 'x\n  - name: evil\n    to: [0.0.0.0/0]\n\r\u2028\u0085\x1b[2J'
  const fields = [
    'process.executable',
    'user.name',
    'checkvalve.unit',
    'container.id',
    'destination.domain',
    'network.transport',
  ]
  for (const field of fields) {
    const lines = [lineOf({ more: { [field]: hostile } }), lineOf({ port: 80, more: { [field]: hostile } })]
    t.notOk(names(allowed(t, lines)).includes('evil'), field)
    t.match(textOf(t, lines), /^[\x20-\x7e\n]*$/, field)
  }
  const worm = Array.from({ length: 20 }, (_, i) =>
    lineOf({ at: i / 9, port: i + 1, more: { 'process.executable': hostile, 'checkvalve.unit': hostile } }),
  )
  t.same(allowed(t, worm), [])
})

t.test('words that YAML reads as another type are quoted', async (t) => {
  const destinationOf = (event: Event) => formatDestination(allowed(t, [lineOf(event)])[0]!.to[0]!)
  for (const domain of ['true.service', 'null', 'on', '12.5e3', '1e3'])
    t.equal(destinationOf({ domain }), domain)
  for (const to of ['2001:db8::', '203.0.113.7']) t.equal(destinationOf({ to }), to)
})

t.test('the JSON output has the same suggestions for programs', async (t) => {
  const written = JSON.parse(jsonOf(suggested(t, [lineOf({ repeat: 3, ...PHP }), suppressed(7)])))
  t.match(written, {
    blocks: 10,
    allow: [
      {
        entry: {
          name: 'php8.2-fpm-203.0.113.7',
          to: ['203.0.113.7'],
          ports: [443],
          protocol: 'tcp',
          users: ['www-data'],
          units: ['php8.2-fpm.service'],
        },
        blocks: 3,
        first: '2024-11-26T08:00:00.000Z',
        programs: ['/usr/sbin/php-fpm8.2'],
        isGuess: false,
      },
    ],
    suspects: [],
    notSuggested: { suppressed: { blocks: 7 } },
  })
})

t.test('what is not known of the resolver on this host comes first, in both forms', async (t) => {
  const note = '/etc/resolv.conf:1: it leads to this host itself: name the resolvers'
  const suggestion = suggested(t, [])
  t.match(
    yamlOf(suggestion, 'log', [note]),
    /^# No blocks in log\.\n\n# FIRST: \/etc\/resolv\.conf:1: it leads/,
  )
  t.same(JSON.parse(jsonOf(suggestion, [note])).notes, [note])
})
