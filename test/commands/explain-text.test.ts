import t from 'tap'
import type { Explained } from '../../src/analysis/explain/explanation.js'
import { plain } from '../../src/commands/colours.js'
import { explainText } from '../../src/commands/explain-text.js'

const NOW = Date.UTC(2027, 0, 1)
const OPTIONS = { path: '/etc/checkvalve/checkvalve.yaml', now: NOW, paint: plain }
const RULE = { name: 'payments', reason: 'rule', found: '/etc/checkvalve/checkvalve.yaml:12' } as const
const UNTIL = new Date(NOW + 240_000).toISOString()

const ACCEPTED: Explained = {
  source: 'service',
  mode: 'enforce',
  protocol: 'tcp',
  to: 'api.example.org:443',
  user: 'www-data',
  unit: 'nginx.service',
  verdict: 'accept',
  judged: ['203.0.113.7', '2001:db8::7'].map((address) => ({
    address,
    until: UNTIL,
    verdict: 'accept',
    reason: 'rule',
    rule: RULE,
    whileSilent: 'accept',
  })),
  near: [],
  notes: [],
}
const BLOCKED: Explained = {
  ...ACCEPTED,
  to: '198.51.100.200:443',
  unit: undefined,
  verdict: 'block',
  judged: [{ address: '198.51.100.200', verdict: 'block', reason: 'not-allowlisted', whileSilent: 'block' }],
  near: [{ rule: RULE, misses: ['user'], but: ['the user: it is for root, _apt, not www-data'] }],
  entry: { name: '198.51.100.200', to: ['198.51.100.200'], ports: [443], users: ['www-data'] },
  notes: [
    'this host last got this address in an answer for cdn.example.net: if that is the destination, allow the name',
  ],
}
const text = (explained: Explained) => explainText(explained, OPTIONS)

t.test(
  'the text for an accepted name has its rule, and its addresses with the time until they expire',
  async (t) => {
    t.equal(
      text(ACCEPTED),
      `ACCEPT: tcp to api.example.org:443, by www-data, in nginx.service
accept  rule "payments" (/etc/checkvalve/checkvalve.yaml:12)
        203.0.113.7                              for 4 min
        2001:db8::7                              for 4 min
kernel  without the service, the kernel lets it pass
source  the running service (mode enforce)`,
    )
  },
)

t.test(
  'the text for a block has the nearest rule, and the entry to write or the command to type',
  async (t) => {
    t.equal(
      text(BLOCKED),
      `BLOCK: tcp to 198.51.100.200:443, by www-data
block   not-allowlisted: nothing allows it
almost  rule "payments" (/etc/checkvalve/checkvalve.yaml:12) would allow it but
        for the user: it is for root, _apt, not www-data
allow   to let it pass, write to /etc/checkvalve/checkvalve.yaml
        allow:
          - name: 198.51.100.200
            to: [198.51.100.200]
            ports: [443]
            users: [www-data]
        or, for the service that runs:
          checkvalve allow add 198.51.100.200 --to 198.51.100.200 \\
            --ports 443 --user www-data
kernel  without the service, the kernel blocks it; connections that were
        approved go on
note    this host last got this address in an answer for cdn.example.net: if
        that is the destination, allow the name
source  the running service (mode enforce)`,
    )
  },
)

t.test('in mode observe the text reads "would block", and notes that the packet passes today', async (t) => {
  const lines = text({ ...BLOCKED, mode: 'observe' }).split('\n')
  t.same(lines.slice(0, 2), [
    'WOULD BLOCK: tcp to 198.51.100.200:443, by www-data',
    'Mode is observe: today it passes.',
  ])
  t.notMatch(text({ ...ACCEPTED, mode: 'observe' }), 'today')
})

t.test('addresses with different verdicts are printed separately', async (t) => {
  const [first] = ACCEPTED.judged
  const judged = [first!, { ...BLOCKED.judged[0]!, until: UNTIL }]
  const shown = text({ ...ACCEPTED, verdict: 'block', judged })
  t.match(shown, /^PARTLY BLOCK: /)
  t.match(
    shown,
    /^accept {2}rule .*\n {8}203\.0\.113\.7 +for 4 min\nblock {3}not-allowlisted.*\n {8}198\.51\.100\.200 /m,
  )
  t.match(shown, 'without the service, the kernel lets a part of it pass')
})

t.test(
  'the text for a rule of the system has its reason, and the file that names the destination',
  async (t) => {
    const rule = { name: 'mirrors:80', reason: 'mirror', found: '/etc/apt/sources.list:2, apt' } as const
    const judged = [{ ...ACCEPTED.judged[0]!, reason: 'mirror', rule } as const]
    t.match(
      text({ ...ACCEPTED, judged }),
      '\naccept  mirror: an update mirror; rule "mirrors:80" (/etc/apt/sources.list:2,\n        apt)\n',
    )
  },
)

t.test(
  'the text for this host itself has no kernel line; a query name and a source port are printed',
  async (t) => {
    const judged = [
      { address: '127.0.0.1', verdict: 'accept', reason: 'loopback', whileSilent: 'accept' } as const,
    ]
    const shown = text({ ...ACCEPTED, judged, question: 'a.example.org', fromPort: 53, source: 'file' })
    t.match(shown, ', DNS query for a.example.org, from port 53, by www-data')
    t.notMatch(shown, /^kernel /m)
    t.match(shown, '\nsource  /etc/checkvalve/checkvalve.yaml, without the service (mode enforce)')
  },
)

t.test('an entry is printed as YAML to paste, and as a command with the same options', async (t) => {
  const entry = {
    name: 'dns',
    to: ['2001:db8::53'],
    ports: [53],
    protocol: 'udp',
    units: ['a.service'],
  } as const
  const shown = text({ ...BLOCKED, entry })
  t.match(shown, /to: \[2001:db8::53\]\n {12}ports: \[53\]\n {12}protocol: udp\n {12}units: \[a\.service\]/)
  t.match(shown, /allow add dns --to 2001:db8::53 \\\n {12}--ports 53 --protocol udp --unit a\.service/)
})

t.test('the whole text fits 80 columns', async (t) => {
  for (const each of [ACCEPTED, BLOCKED])
    for (const line of text(each).split('\n')) t.ok(line.length <= 80, line)
})

t.test('on a terminal the verdict has a colour', async (t) => {
  const paint = (colour: string, word: string) => `<${colour}>${word}`
  t.match(explainText(ACCEPTED, { ...OPTIONS, paint }), /^<green>ACCEPT: /)
  t.match(explainText(BLOCKED, { ...OPTIONS, paint }), /^<red>BLOCK: /)
  t.match(explainText({ ...BLOCKED, mode: 'observe' }, { ...OPTIONS, paint }), /^<yellow>WOULD BLOCK: /)
})
