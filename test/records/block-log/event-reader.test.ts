import t from 'tap'
import { type Block, LINE_AT_MOST, readLine } from '../../../src/records/block-log/event-reader.js'
import { seededRandom } from '../../core/random.js'
import { BEGIN, type Fields, fieldsOf, lineOf, suppressed } from './events.js'

const why = (text: string | undefined) => {
  const line = readLine(text)
  return line?.kind === 'broken' ? line.why : line?.kind
}

const withFields = (fields: Fields) => JSON.stringify({ ...fieldsOf(), ...fields })

t.test('all fields of a line of the service are read', async (t) => {
  const line = readLine(
    lineOf({
      at: 1.5,
      domain: 'api.example.org',
      unit: 'php8.2-fpm.service',
      program: '/usr/sbin/php-fpm8.2',
      repeat: 12,
      isObserved: true,
      more: { 'process.pid': 812, 'container.id': 'c0ffee' },
    }),
  )
  t.same(line, {
    kind: 'block',
    time: BEGIN + 1500,
    isObserved: true,
    reason: 'not-allowlisted',
    repeat: 12,
    sourcePort: 40000,
    address: '203.0.113.7',
    port: 443,
    domain: 'api.example.org',
    question: undefined,
    transport: 'tcp',
    uid: 33,
    user: 'www-data',
    unit: 'php8.2-fpm.service',
    container: 'c0ffee',
    program: '/usr/sbin/php-fpm8.2',
    pid: 812,
  })
})

t.test('a sum of suppressed blocks has no destination, and counts', async (t) => {
  t.match(readLine(suppressed(9488)), {
    kind: 'block',
    reason: 'suppressed',
    repeat: 9488,
    address: undefined,
  })
})

t.test('a line that is no event gives the reason', async (t) => {
  const whole = lineOf()
  for (const [text, expected] of [
    [undefined, 'too-long'],
    [whole.slice(0, -10), 'cut-short'],
    [`${whole}${whole}`, 'not-json'],
    ['Started checkvalve.service.', 'not-json'],
    [`\u0000${whole.slice(0, 20)}\u0000${whole.slice(20)}`, 'not-json'],
    ['[1, 2]', 'not-an-object'],
    ['null', 'not-an-object'],
    ['17', 'not-an-object'],
    ['{}', 'no-action'],
    ['{"__proto__": {"event.action": "block"}}', 'no-action'],
    [withFields({ 'event.action': 'allow' }), 'no-action'],
    [withFields({ 'event.action': ['block'] }), 'no-action'],
    [withFields({ '@timestamp': undefined }), 'no-time'],
    [withFields({ '@timestamp': 1_800_000_000 }), 'no-time'],
    [withFields({ '@timestamp': '2026-13-45T00:00:00Z' }), 'no-time'],
    [withFields({ 'event.reason': '' }), 'no-reason'],
    [withFields({ 'event.reason': {} }), 'no-reason'],
    [withFields({ 'checkvalve.repeat': undefined }), 'no-count'],
    [withFields({ 'checkvalve.repeat': 0 }), 'no-count'],
    [withFields({ 'checkvalve.repeat': -3 }), 'no-count'],
    [withFields({ 'checkvalve.repeat': 1.5 }), 'no-count'],
    [withFields({ 'checkvalve.repeat': '7' }), 'no-count'],
    [whole.replace('"checkvalve.repeat":1', '"checkvalve.repeat":1e400'), 'no-count'],
  ] as const)
    t.equal(why(text), expected, String(text).slice(-60))
})

t.test('an empty line is skipped without an error', async (t) => {
  for (const text of ['', '\r', '   ', '\u0000\u0000\u0000']) t.equal(readLine(text), undefined)
})

t.test('zero bytes that a power failure has left before a line do not hide it', async (t) => {
  t.equal(why(`\u0000\u0000\u0000${lineOf()}`), 'block')
})

t.test('an invalid field counts as missing, and the other fields are read', async (t) => {
  const wrong: Fields = {
    'source.port': '40000',
    'destination.ip': '203.0.113.700',
    'destination.port': 65536,
    'destination.domain': ['api.example.org'],
    'dns.question.name': 5,
    'network.transport': null,
    'user.id': '4294967295',
    'user.name': {},
    'checkvalve.unit': '',
    'container.id': true,
    'process.executable': 'x'.repeat(5000),
    'process.pid': -1,
  }
  const { kind, time, isObserved, reason, repeat, ...rest } = readLine(withFields(wrong)) as Block
  t.same(
    { kind, time, isObserved, reason, repeat },
    {
      kind: 'block',
      time: BEGIN,
      isObserved: false,
      reason: 'not-allowlisted',
      repeat: 1,
    },
  )
  for (const [name, value] of Object.entries(rest)) t.equal(value, undefined, name)
  for (const id of ['-1', '0x21', '33 ', 33, '99999999999', '1e3'])
    t.equal((readLine(withFields({ 'user.id': id })) as Block).uid, undefined, String(id))
})

t.test("a line of the service's own log is a remark: both logs are one in the journal", async (t) => {
  const remark = {
    '@timestamp': '2024-11-26T08:00:00.000Z',
    'event.module': 'checkvalve',
    'log.level': 'info',
  }
  t.same(readLine(JSON.stringify({ ...remark, message: 'stopped' })), {
    kind: 'remark',
    time: BEGIN,
    level: 'info',
    message: 'stopped',
  })
  t.equal(why(JSON.stringify({ ...remark, 'event.module': 'sshd', message: 'x' })), 'no-action')
})

t.test('for any change of a line, the reader neither throws nor invents fields', async (t) => {
  const random = seededRandom(4)
  const values = [undefined, null, true, -1, 0, 1e308, '', 'x', '\u0000', '\ud800', [], {}, [['a']], { a: 1 }]
  const names = Object.keys(fieldsOf())
  for (let round = 0; round < 3000; round++) {
    const fields: Record<string, unknown> = { ...fieldsOf() }
    for (let i = random(4); i >= 0; i--) fields[names[random(names.length)]!] = values[random(values.length)]
    const text = JSON.stringify(fields)
    const line = readLine(random(3) === 0 ? text.slice(0, random(text.length)) : text)
    if (line?.kind !== 'block') continue
    t.ok(Number.isSafeInteger(line.repeat) && line.repeat > 0 && Number.isInteger(line.time))
    for (const value of [line.domain, line.user, line.unit, line.program, line.transport])
      t.ok(value === undefined || (typeof value === 'string' && value.length < LINE_AT_MOST))
  }
})
