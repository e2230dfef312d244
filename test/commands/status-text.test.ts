import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { paintFor } from '../../src/commands/colours.js'
import { statusText } from '../../src/commands/status-text.js'
import type { Status } from '../../src/telemetry/status.js'
import { fieldsOf } from '../records/block-log/events.js'
import { ago, NOW, STATUS } from './samples.js'

process.env.TZ = 'UTC'

const text = (more: Partial<Status> = {}, all = false) =>
  statusText({ ...STATUS, ...more }, { now: NOW, all })

t.test(
  'the table begins with the mode, then shows the blocks and their senders, then the state of the parts',
  async (t) => {
    t.equal(
      text(),
      `checkvalve  1.2.3, up 3 d 4 h
mode        enforce
proven      yes
reload      the configuration was loaded 2 h ago

VERDICTS                                     total   last minute
block       not-allowlisted                 12,345           120
block       name-not-allowed                     3             0
accept      mirror                              87             0

BLOCKED USERS                                total   last minute            when
www-data                                    12,340           120 for 12 min 34 s
unknown                                          8             0         2 h ago

queue       100 (native form): 2 of 16,384 waiting, 0 dropped
kernel      reply 1,000,000, approved 12
sessions    tcp 123, udp 4 of 1,000,000; the kernel tracks 120 of 65,536
log         /var/log/checkvalve/blocks.json
            500 blocks listed, 20 in summaries, 0 by user only
resolvers   198.51.100.53, 2001:db8::53

MIRRORS
mirror.example.org:80  apt, /etc/apt/sources.list:2
    198.51.100.1                             for 5 min
    198.51.100.2                             for 5 min
    198.51.100.3                             for 5 min
    and 1 more`,
    )
  },
)

t.test("the blocks of the service's own canary are listed after all other blocks", async (t) => {
  const verdicts = [
    { verdict: 'block', reason: 'canary', total: 100, lastMinute: 2 },
    { verdict: 'block', reason: 'not-allowlisted', total: 1, lastMinute: 1 },
  ] as const
  t.match(text({ verdicts }), /not-allowlisted .*\nblock {7}canary /)
})

const ENTRY = {
  to: ['203.0.113.7'],
  protocol: 'tcp',
  ...{ ports: undefined, users: undefined, units: undefined, expires: undefined },
} as const

t.test('of many runtime entries the first are shown, with the command that shows the others', async (t) => {
  const allow = Array.from({ length: 7 }, (_, i) => ({ ...ENTRY, name: `entry-${i}` }))
  t.match(text({ allow }), /\nentry-4 [^\n]+(?:\n +[^\n]+)*\nand 2 more: checkvalve allow list\n/)
  t.notMatch(text({ allow }), 'entry-5')
  t.match(text({ allow }, true), 'entry-6')
})

t.test(
  'the last block of each sender is printed as tail prints it, with the day when it is not today',
  async (t) => {
    const of = (at: string, more: Parameters<typeof fieldsOf>[0]) =>
      fieldsOf({ ...more, more: { '@timestamp': at } })
    const lastBlocks = [
      of('2027-01-30T23:59:59.000Z', { user: 'root', uid: 0, unit: 'cron.service' }),
      of('2027-01-31T17:59:58.000Z', { unit: 'php8.2-fpm.service', program: '/usr/bin/curl', repeat: 12 }),
      { 'event.action': 'block', 'something else': 1 },
    ]
    t.match(
      text({ lastBlocks }),
      `
LAST BLOCKED, for each user and unit
-- 2027-01-30
23:59:59 block root cron          203.0.113.7:443/tcp      not-allowlisted
-- 2027-01-31
17:59:58 block www-data php8.2-fpm/curl 203.0.113.7:443/tcp not-allowlisted x12
all blocks: checkvalve tail; how to allow them: checkvalve suggest, explain
`,
    )
    t.notMatch(text(), 'LAST BLOCKED')
  },
)

t.test('each problem is printed beside the part that has it', async (t) => {
  const problems = ['/etc/checkvalve/checkvalve.yaml:12: mode: must be observe or enforce, not "open"']
  const bad = text({
    mode: 'observe',
    configuredMode: 'enforce',
    reload: { at: ago(60), takenAt: ago(7200), problems },
    notes: ['something is missing'],
    queue: { ...STATUS.queue, dropped: 3, userDropped: 4 },
    log: {
      ...STATUS.log,
      suppressed: 70,
      dropped: 5,
      trouble: { at: ago(5), message: 'ENOSPC: no space left' },
    },
    resolvers: [],
    timeServers: [],
    mirrors: [],
  })
  t.match(
    bad,
    /^mode {8}observe: nothing is blocked, only recorded\n {12}until the next reload or restart: the configuration says enforce\nproven {6}not in mode observe$/m,
  )
  t.match(
    bad,
    /^reload {6}REFUSED 1 min ago; the configuration loaded 2 h ago is in force\n {12}\/etc\/checkvalve\/checkvalve\.yaml:12: mode: must be observe or\n {12}enforce, not "open"$/m,
  )
  t.match(bad, /^note {8}something is missing$/m)
  t.match(bad, /^WOULD HAVE BEEN BLOCKED /m)
  t.match(bad, /2 of 16,384 waiting, 7 dropped$/m)
  t.match(
    bad,
    /500 blocks listed, 20 in summaries, 70 by user only; 5 lines lost\n {12}5 s ago: ENOSPC: no space left$/m,
  )
  t.match(bad, /^resolvers {3}none: names cannot be looked up$/m)
  t.match(bad, /^time {8}no time server is known: NTP is blocked$/m)
  const many = Array.from({ length: 10 }, (_, i) => `n${i}.example.org`)
  const found = text({ upstreams: ['192.0.2.53 port 853/tcp'], timeServers: many })
  t.match(found, /^resolvers {3}198\.51\.100\.53, 2001:db8::53, 192\.0\.2\.53 port 853\/tcp$/m)
  t.match(found, /^time {8}n0\.example\.org, [\s\S]*n7\.example\.org and 2\s+more$/m)
  t.match(bad, /^no mirrors: .*another host, and mirrors\.hosts is empty\.\s+Updates\s+are blocked\.$/m)
  t.match(text({ proven: false }), /^proven {6}NO: /m)
  t.match(
    text({ proven: false, proofs: { ipv4: 'yes', ipv6: 'no' } }),
    /^proven {6}NO: the last canary connection over IPv6 was not blocked/m,
  )
  t.match(
    text({ proofs: { ipv4: 'no-route', ipv6: 'yes' } }),
    /^proven {6}yes; nothing to prove over IPv4: no route leads to an address/m,
  )
  t.match(
    text({ proven: undefined, proofs: { ipv4: 'no-route', ipv6: 'no-route' } }),
    /^proven {6}nothing to prove over IPv4 and IPv6: no route/m,
  )
  t.match(text({ proven: undefined }), /^proven {6}not yet$/m)
})

t.test('a value that cannot be read is not printed as zero', async (t) => {
  const { number, form, maxLength } = STATUS.queue
  const partly = text({
    kernel: undefined,
    queue: { number, form, maxLength },
    verdicts: [],
    blockedUsers: [],
  })
  t.match(partly, /^kernel {6}its counters cannot be read$/m)
  t.match(partly, /^queue {7}100 \(native form\): its counters cannot be read$/m)
  t.match(partly, /^VERDICTS\nnone yet$/m)
  t.notMatch(partly, 'BLOCKED USERS')
})

t.test(
  'a long list of mirrors is cut short, and a line reports that, unless all are requested',
  async (t) => {
    const mirrors = Array.from({ length: 8 }, (_, index) => ({
      ...STATUS.mirrors[0]!,
      host: `mirror${index}.example.org`,
    }))
    const short = text({ mirrors, moreMirrors: 100 })
    t.match(short, /mirror4\.example\.org/)
    t.notMatch(short, /mirror5\.example\.org/)
    t.match(short, /^and 103 more mirrors: --all shows them$/m)
    const all = text({ mirrors }, true)
    t.match(all, /mirror7\.example\.org/)
    t.match(all, /198\.51\.100\.4 /)
    t.notMatch(all, /and \d+ more/)
  },
)

t.test(
  'the table fits 80 columns for names of any length, and no name can control the terminal',
  async (t) => {
    const long = `${'x'.repeat(300)}\x1b[2J\n`
    const hostile = text({
      version: long,
      notes: [long],
      blockedUsers: [{ user: long, total: 1e9, lastMinute: 1e9, since: ago(59 * 60 + 59), last: ago(1) }],
      lastBlocks: [fieldsOf({ user: long, unit: long, domain: long, program: long })],
      log: { ...STATUS.log, destination: `/${long}` },
      mirrors: [{ ...STATUS.mirrors[0]!, host: `${long}.example.org`, found: `/${long}:1` }],
      reload: { ...STATUS.reload, problems: [long] },
    })
    for (const line of hostile.split('\n')) t.ok(line.length <= 80 && !/\p{Cc}/u.test(line), line)
  },
)

t.test('colours change nothing else in the output', async (t) => {
  const paint = paintFor({ isTTY: true }, { TERM: 'xterm' })
  const coloured = statusText(STATUS, { now: NOW, paint })
  t.not(coloured, text())
  t.equal(stripVTControlCharacters(coloured), text())
})
