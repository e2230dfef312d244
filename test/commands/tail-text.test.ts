import t from 'tap'
import { paintFor } from '../../src/commands/colours.js'
import { TailText, type TextOptions } from '../../src/commands/tail-text.js'
import { readLine } from '../../src/records/block-log/event-reader.js'
import { seededRandom } from '../core/random.js'
import { type Event, lineOf, suppressed } from '../records/block-log/events.js'

process.env.TZ = 'UTC'

const show = (texts: readonly string[], options: TextOptions = {}) => {
  const text = new TailText(options)
  return texts.map((each) => text.lineOf(readLine(each) as Parameters<typeof text.lineOf>[0])).join('')
}

/** Formats one event, without the line for the day. */
const line = (event: Event, options: TextOptions = {}) => show([lineOf(event)], options).split('\n')[1]!

const PHP: Event = { unit: 'php8.2-fpm.service', program: '/usr/sbin/php-fpm8.2', repeat: 12 }

t.test('an event is printed as one line: time, action, sender, destination, reason, count', async (t) => {
  t.equal(line(PHP), '08:00:00 block www-data php8.2-fpm/php-fpm8.2 203.0.113.7:443/tcp not-allowlisted x12')
  t.equal(
    line({ user: 'root', uid: 0, unit: 'cron.service', program: '/usr/bin/curl', isObserved: true }),
    '08:00:00 would root cron/curl     203.0.113.7:443/tcp      not-allowlisted',
  )
})

t.test('the sender is printed as far as it is known', async (t) => {
  const who = (event: Event) =>
    line(event)
      .slice(15)
      .split(/ {2,}| (?=203)/)[0]
  t.equal(who({}), 'www-data')
  t.equal(who({ unit: 'session-3.scope' }), 'www-data session-3.scope')
  t.equal(who({ program: '/tmp/x' }), 'www-data -/x')
  t.equal(who({ more: { 'container.id': 'c0ffee0123456789abcdef' } }), 'www-data c0ffee012345')
  t.equal(who({ user: undefined, uid: 1000 }), '1000')
  t.equal(who({ user: undefined, uid: undefined }), '-')
})

t.test('what is not known of the sender is a question mark, and so is what is not certain', async (t) => {
  const who = (event: Event) =>
    line(event)
      .slice(15)
      .split(/ {2,}| (?=203)/)[0]
  for (const why of ['skipped', 'unknown']) {
    const more = { 'checkvalve.attribution': why }
    t.equal(who({ more }), 'www-data ?')
    t.equal(who({ program: '/tmp/x', more }), 'www-data ?/x')
    t.equal(who({ user: undefined, uid: undefined, more }), '-', 'a packet without a user has no unit')
  }
  const candidates = { 'checkvalve.candidates': ['curl', 'sh'] }
  t.equal(who({ unit: 'php.service', more: candidates }), 'www-data php/curl?')
  const summary = JSON.parse(suppressed(7)) as object
  const named = { ...summary, 'user.id': '33', 'checkvalve.units': ['php.service', 'cron.service'] }
  t.match(show([JSON.stringify(named)]), '33 php,cron')
})

t.test('a destination is printed with its name, its port and its protocol', async (t) => {
  const where = (event: Event) => line(event, { width: 1 }).slice(34).split(' ')[0]
  t.equal(where({ domain: 'api.example.org' }), 'api.example.org:443/tcp')
  t.equal(where({ to: '2001:db8::7', transport: 'udp', port: 123 }), '[2001:db8::7]:123/udp')
  t.equal(where({ to: '2001:db8::7', transport: 'ipv6-icmp' }), '2001:db8::7/ipv6-icmp')
  t.equal(where({ transport: '132' }), '203.0.113.7/132')
  t.equal(where({ question: 'evil.example.net', port: 53, transport: 'udp' }), 'evil.example.net?')
  t.equal(where({ more: { 'destination.ip': 7, 'network.transport': 7 } }), '-:443')
})

t.test('the address behind a name is printed when the line has room for it', async (t) => {
  const named = { domain: 'api.example.org' }
  t.match(line(named), /not-allowlisted 203\.0\.113\.7$/)
  t.match(line(named, { width: 90 }), /not-allowlisted 203\.0\.113\.7$/)
  t.match(line(named, { width: 80 }), /not-allowlisted$/)
  const asked = { question: 'evil.example.net', to: '198.51.100.53', port: 53, transport: 'udp' }
  t.match(line(asked), /not-allowlisted 198\.51\.100\.53:53\/udp$/)
})

t.test('an ordinary event fits 80 columns', async (t) => {
  for (const event of [
    { ...PHP, unit: 'php-fpm.service', program: '/usr/sbin/php-fpm' },
    { domain: 'api.example.org', unit: 'nginx.service' },
    { to: '203.0.113.254', port: 65535, transport: 'udp', user: 'postgres', unit: 'postgresql.service' },
    { question: 'api.example.org', reason: 'name-not-allowed', repeat: 99 },
  ])
    t.ok(line(event, { width: 80 }).length <= 80, line(event, { width: 80 }))
})

t.test('when a line is a few characters too long, the name of the program is shortened', async (t) => {
  const long = { ...PHP, to: '203.0.113.24' }
  t.equal(
    line(long, { width: 80 }),
    '08:00:00 block www-data php8.2-fpm/php~ 203.0.113.24:443/tcp not-allowlisted x12',
  )
  t.equal(
    line({ ...long, repeat: 1 }, { width: 80 }),
    '08:00:00 block www-data php8.2-fpm/php-fpm~ 203.0.113.24:443/tcp not-allowlisted',
  )
  t.match(
    line({ ...long, domain: 'x'.repeat(60) }, { width: 80 }),
    '/php-fpm8.2 x',
    "the program's name is shortened only when that makes the line fit",
  )
  t.match(
    line({ ...long, unit: 'u'.repeat(20), program: undefined }, { width: 80 }),
    ' uuuuuuuuuuuuuuuuuuuu 203',
  )
})

t.test('the reason of an event that is too long for one line is printed below it', async (t) => {
  const long = lineOf({ unit: 'php8.2-fpm.service', program: '/usr/bin/curl', domain: 'control.example.net' })
  const one = '08:00:00 block www-data php8.2-fpm/curl control.example.net:443/tcp'
  t.equal(show([long], { width: 80 }), `-- 2024-11-26\n${one}\n               not-allowlisted\n`)
  t.match(show([long]), `${one} not-allowlisted 203.0.113.7\n`)
})

t.test('the day is printed when it changes', async (t) => {
  const day = 86400
  t.equal(
    show([lineOf({}), lineOf({ at: 1 }), lineOf({ at: day }), lineOf({ at: day + 1 })]).replace(
      / block.*/g,
      '',
    ),
    '-- 2024-11-26\n08:00:00\n08:00:01\n-- 2024-11-27\n08:00:00\n08:00:01\n',
  )
})

t.test('a sum of suppressed blocks is printed as such', async (t) => {
  t.match(show([suppressed(9488)]), /block -\s+too many to list\s+suppressed x9488\n/)
})

t.test(
  "a line of the service's own log is printed as it is, and cannot be mistaken for an event",
  async (t) => {
    const remark = {
      '@timestamp': '2024-11-26T08:00:00.000Z',
      'event.module': 'checkvalve',
      'log.level': 'error',
      message: 'a\nb\x1b[2J',
    }
    t.equal(show([JSON.stringify(remark)]), '-- 2024-11-26\n08:00:00 error a\\x0ab\\x1b[2J\n')
  },
)

t.test('no field can control the terminal, or add a line or a field', async (t) => {
  const hostile = '\x1b[2J\x9b1m\r\n 203.0.113.1:1/tcp\u202e\u2028\ud800\x07'
  const fields = [
    'event.reason',
    'destination.domain',
    'dns.question.name',
    'network.transport',
    'user.name',
    'checkvalve.unit',
    'container.id',
    'process.executable',
  ]
  for (const paint of [undefined, paintFor({ isTTY: true }, {})])
    for (const field of fields) {
      const shown = show([lineOf({ more: { [field]: `a${hostile}b` } })], { ...(paint && { paint }) })
      const own = [0, 1, 2, 31].reduce((text, code) => text.replaceAll(`\x1b[${code}m`, ''), shown)
      t.match(own, /^-- 2024-11-26\n[\x20-\x7e]+\n$/, field)
      t.notMatch(own, / 203\.0\.113\.1:1\/tcp/, field)
    }
})

t.test('any event is printed as one line without control characters', async (t) => {
  const random = seededRandom(11)
  const values = ['', 'x'.repeat(4000), '\u0000\u001b', '日本', '\ud800', 5, null, [], {}, true, '-1', '::1']
  const names = Object.keys(
    JSON.parse(lineOf({ domain: 'a.example', question: 'b.example', unit: 'u', program: 'p' })),
  )
  for (let round = 0; round < 2000; round++) {
    const more: Record<string, unknown> = {}
    for (let i = random(5); i >= 0; i--) more[names[random(names.length)]!] = values[random(values.length)]
    const read = readLine(lineOf({ more }))
    if (read?.kind !== 'block') continue
    const shown = new TailText().lineOf(read)
    t.match(shown, /^-- \S+\n[^\p{Cc}\p{Cf}\p{Cs}]+\n$/u)
  }
})

t.test('colours are printed on terminals, and where an option asks for them', async (t) => {
  const painted = (env: Record<string, string>, isTTY = true) => line({}, { paint: paintFor({ isTTY }, env) })
  t.match(painted({}), '\x1b[31mblock\x1b[0m')
  t.match(painted({ NO_COLOR: '' }), '\x1b[31mblock\x1b[0m', 'an empty NO_COLOR has no effect')
  for (const plain of [painted({ NO_COLOR: '1' }), painted({ TERM: 'dumb' }), painted({}, false)])
    t.equal(plain, line({}))
})
