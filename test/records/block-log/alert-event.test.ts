/** Tests what the log tells of alerts and quarantines, and that its readers understand it. */
import t from 'tap'
import type { Burst } from '../../../src/core/record/tripwire.js'
import { type Alert, alertEvent } from '../../../src/records/block-log/alert-event.js'
import { type AlertLine, readLine } from '../../../src/records/block-log/event-reader.js'
import { refusedEvent } from '../../../src/records/block-log/event-writer.js'
import { filterLines } from '../../../src/records/block-log/filter.js'
import { Unreadable } from '../../../src/records/block-log/unreadable.js'

const UNTIL = Date.parse('2026-03-01T12:15:00.000Z')
const BURST: Burst = {
  uid: 33,
  who: {
    attribution: 'found',
    unit: 'web.service',
    pid: 7,
    executable: '/usr/bin/worm\x1b[2J',
    process: 'found',
  },
  cgroup: '/system.slice/web.service',
  destinations: Array.from({ length: 10 }, (_, n) => `tcp 203.0.113.${n} port 445`),
  contacts: 10,
  start: 1000,
  last: 1500,
  blocks: 20,
}
const around = (mode: 'observe' | 'enforce') => ({
  mode,
  userName: (uid: number) => (uid === 33 ? 'www-data' : undefined),
})
const written = (event: object) =>
  JSON.stringify({ '@timestamp': '2026-03-01T12:00:00.000Z', 'event.module': 'checkvalve', ...event })
const event = (alert: Alert, mode: 'observe' | 'enforce' = 'enforce') => alertEvent(alert, around(mode))

t.test('an alert names user, unit, program, destinations and rate, and what is done', async (t) => {
  t.match(event({ type: 'begin', burst: BURST, until: UNTIL }), {
    'event.kind': 'alert',
    'event.action': 'alert',
    'user.name': 'www-data',
    'service.name': 'web',
    'checkvalve.unit': 'web.service',
    'process.executable': '/usr/bin/worm\\x1b[2J',
    'checkvalve.destinations': { length: 10 },
    'checkvalve.blocks': 20,
    'checkvalve.rate': 40,
    'checkvalve.quarantine': 'begun',
    'checkvalve.until': '2026-03-01T12:15:00.000Z',
    message:
      /^ALERT: www-data \(.*worm.* in web\.service\) was blocked at 10 new destinations in 0\.5 s, .*203\.0\.113\.9 port 445; in quarantine until 2026-03-01T12:15/,
  })
  t.match(event({ type: 'begin', burst: BURST, until: undefined }), {
    'checkvalve.quarantine': undefined,
    message: /nothing but that is done$/,
  })
  t.match(event({ type: 'begin', burst: BURST, until: UNTIL }, 'observe'), {
    'checkvalve.quarantine': 'rehearsed',
    message: /would have been blocked at .*in mode enforce this user would be in quarantine/,
  })
  t.match(event({ type: 'begin', burst: { ...BURST, uid: -1, last: 31_000 }, until: undefined }), {
    'user.id': undefined,
    message: /a packet without a user .* in 30 s/,
  })
  t.match(event({ type: 'end', burst: BURST }), {
    'event.action': 'alert-ended',
    message: /is over: 20 blocks in 1 s, 40 a second/,
  })
})

t.test('no line is longer than a pipe takes whole (PIPE_BUF)', async (t) => {
  const long = '\\u202e'.repeat(100)
  const who = { ...BURST.who, unit: `${long}.service`, container: long, executable: long }
  const destinations = BURST.destinations.map((each) => each + long)
  const longest = alertEvent(
    { type: 'begin', burst: { ...BURST, who, destinations }, until: UNTIL },
    { mode: 'observe', userName: () => long },
  )
  t.ok(Buffer.byteLength(written(longest)) < 4000)
})

t.test('the reader understands each line, and filters choose it by user and unit', async (t) => {
  const alerts: Alert[] = [
    { type: 'begin', burst: BURST, until: UNTIL },
    { type: 'end', burst: BURST },
    { type: 'released', uid: 33, by: 'time' },
    { type: 'released', uid: 33, by: 'operator' },
  ]
  const lines = alerts.map((alert) => written(event(alert)))
  t.same(
    lines.map((line) => (readLine(line) as AlertLine).action),
    ['alert', 'alert-ended', 'released', 'released'],
  )
  t.match(readLine(lines[0]), { kind: 'alert', uid: 33, user: 'www-data', unit: 'web.service' })
  const found = (wanted: object) => filterLines(lines, { since: 0, ...wanted }, new Unreadable()).length
  t.equal(found({ user: { name: 'www-data', uid: 33 } }), 4)
  t.equal(found({ user: { name: 'nobody', uid: 65534 } }), 0)
  t.equal(found({ unit: 'web' }), 2)
  t.same(readLine(written({ 'event.action': 'alert' })), { kind: 'broken', why: 'no-reason' })
  t.same(readLine('{"event.action":"alert","message":"x"}'), { kind: 'broken', why: 'no-time' })
})

t.test('what the kernel refused is a line that counts as many blocks', async (t) => {
  for (const reason of ['repeated', 'quarantined'] as const) {
    const line = written(refusedEvent({ uid: 33, packets: 5000, ms: 60_000, reason }, around('observe')))
    t.match(readLine(line), {
      kind: 'block',
      reason,
      repeat: 5000,
      uid: 33,
      isObserved: false,
      address: undefined,
    })
  }
})
