import t from 'tap'
import { type Finding, Findings } from '../../../src/commands/doctor/finding.js'
import { parseSave } from '../../../src/commands/doctor/iptables-save.js'
import { parseNft } from '../../../src/commands/doctor/nft-json.js'
import { clashes } from '../../../src/commands/doctor/routing.js'
import type { ForeignRules } from '../../../src/commands/doctor/rules-of-others.js'
import { conflicts } from '../../../src/commands/doctor/tables.js'

const MASK = 0x3f000000
const META = { meta: { key: 'mark' } }
const CT = { ct: { key: 'mark' } }

function found(foreign: ForeignRules): Finding[] {
  const findings = new Findings('firewall')
  conflicts(findings, foreign, MASK, [100, 101, 102])
  return findings.all
}

/** Returns the grade of the finding about a rule in a base chain, or `none` when there is no conflict. */
function grade(hook: string, prio: number, ...expr: unknown[]): string {
  const nftables = [
    { chain: { family: 'inet', table: 'other', name: 'c', hook, prio, policy: 'accept' } },
    { rule: { family: 'inet', table: 'other', chain: 'c', expr } },
  ]
  return (
    found(parseNft(JSON.stringify({ nftables })))
      .map(({ grade }) => grade)
      .join() || 'none'
  )
}
const set = (key: unknown, value: unknown) => ({ mangle: { key, value } })
const or = (key: unknown, value: number) => set(key, { '|': [key, value] })
const and = (key: unknown, value: number) => set(key, { '&': [key, value] })

t.test('packet marks that share no bit with ours cause no finding', async (t) => {
  for (const prio of [-150, 0, 100]) {
    t.equal(grade('output', prio, or(META, 0x10)), 'none')
    t.equal(grade('postrouting', prio, and(CT, 0xffffff00)), 'none')
    t.equal(grade('prerouting', prio, or(CT, 0x00010000)), 'none')
  }
})

t.test('between our chains a rule must not change our bits; before them it must not set them', async (t) => {
  t.equal(grade('output', -1, set(META, 1)), 'fail', 'the rule clears our bits')
  t.equal(grade('output', 0, set(META, 1)), 'fail')
  t.equal(grade('output', 10, set(META, CT)), 'fail')
  t.equal(grade('output', -150, set(META, 1)), 'none', 'our marks are set later')
  t.equal(grade('output', -150, set(META, 0x01000000)), 'fail')
  t.equal(grade('output', 11, set(META, 0x01000000)), 'none', 'our marks have been removed by then')
  t.equal(grade('postrouting', 0, set(META, 0x01000000)), 'none')
})

t.test(
  'rules that redirect packets of this host, or hand packets to a transparent proxy, are reported',
  async (t) => {
    t.equal(grade('output', -100, { dnat: { family: 'ip', addr: '203.0.113.1' } }), 'note')
    t.equal(grade('output', -100, { redirect: { port: 3128 } }), 'note')
    t.equal(
      grade('prerouting', -100, { dnat: { family: 'ip', addr: '203.0.113.1' } }),
      'none',
      'forwarded packets',
    )
    t.equal(grade('prerouting', -150, { tproxy: { port: 3129 } }), 'note')
    const saved = (rule: string) =>
      found(parseSave(`*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${rule}\nCOMMIT\n`, 'ip'))
    t.match(
      saved('-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DNAT --to-destination 172.17.0.2:80'),
      [{ grade: 'note', what: /DNAT/ }],
    )
    t.match(saved('-A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 3128'), [{ grade: 'note' }])
    t.same(saved('-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 3128'), [])
    t.match(saved('-A PREROUTING -p tcp --dport 80 -j TPROXY --on-port 3129'), [
      { grade: 'note', advice: /transparentUsers/ },
    ])
  },
)

t.test('a rule that sets our bits of the connection mark is reported in every chain', async (t) => {
  for (const hook of ['prerouting', 'input', 'output', 'postrouting']) {
    t.equal(grade(hook, -150, or(CT, 0x01000000)), 'fail', hook)
    t.equal(grade(hook, -150, set(CT, META)), 'fail', hook)
    t.equal(grade(hook, -150, and(CT, 0xff)), 'look', hook)
  }
})

t.test(
  'a rule on input that changes our bits is reported: the answers of resolvers carry them',
  async (t) => {
    t.equal(grade('prerouting', -150, set(META, 1)), 'look')
    t.equal(grade('prerouting', -300, set(META, 1)), 'none')
    t.equal(grade('prerouting', -100, set(META, 1)), 'none')
  },
)

t.test(
  'queues of other programs are reported, and a queue with one of our numbers is a failure',
  async (t) => {
    t.equal(grade('output', 0, { queue: { num: 5 } }), 'look')
    t.equal(grade('postrouting', 0, { queue: { num: 5 } }), 'look')
    t.equal(grade('input', 0, { queue: { num: 5 } }), 'none')
    t.equal(grade('input', 0, { queue: { num: 101 } }), 'fail')
    t.equal(grade('output', 0, { queue: { num: { jhash: {} } } }), 'look')
  },
)

t.test('untracked traffic and chains that drop packets are reported as notes', async (t) => {
  t.equal(grade('output', -300, { notrack: null }), 'note')
  t.equal(grade('prerouting', -300, { notrack: null }), 'note')
  const chain = { family: 'inet', table: 'filter', name: 'output', hook: 'output', prio: 0, policy: 'drop' }
  t.match(found(parseNft(JSON.stringify({ nftables: [{ chain }] }))), [
    { grade: 'note', what: 'inet filter output drops what it does not allow' },
  ])
})

t.test('a finding names the place of the rule and the chains that lead to it', async (t) => {
  const saved = parseSave(
    `*mangle
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
-A OUTPUT -j mine
-A mine -j MARK --set-xmark 0x1000000/0x1000000
-A mine -j MARK --set-xmark 0x2000000/0x2000000
COMMIT
`,
    'ip',
  )
  const findings = found(saved)
  t.equal(findings.length, 1, 'the rule is reported once')
  t.match(findings, [
    {
      grade: 'fail',
      what: /^ip mangle mine \(from OUTPUT: output, priority -150\) sets our bits of packet marks$/,
    },
  ])
})

t.test('a routing rule that compares our bits is reported; the advice keeps its other bits', async (t) => {
  const advice = (mark: string, mask: number) => {
    const findings = new Findings('routing')
    clashes(findings, [{ priority: 9, mark, mask }], MASK)
    return findings.all.map(({ grade, advice = '' }) => `${grade} ${advice}`)
  }
  t.same(advice('0x1', 0xff), ['ok '])
  t.match(advice('0x5', 0xffffffff), [/^look .*write fwmark 0x5\/0xc0ffffff/])
  const ours = advice('0x1000000', 0xff000000)
  t.match(ours, [/^look .*set firewall\.mark\.mask/])
  t.notMatch(ours[0], 'write fwmark')
})

t.test('SYNPROXY is reported where it answers clients over IPv6, since it cuts them off', async (t) => {
  const synproxy = { synproxy: { mss: 1460 } }
  const match = (left: unknown, right: unknown) => ({ match: { op: '==', left, right } })
  t.equal(grade('input', 0, synproxy), 'look')
  t.equal(grade('input', 0, match({ meta: { key: 'nfproto' } }, 'ipv6'), synproxy), 'look')
  t.equal(grade('input', 0, match({ payload: { protocol: 'tcp', field: 'dport' } }, 80), synproxy), 'look')
  t.equal(grade('input', 0, match({ meta: { key: 'nfproto' } }, 'ipv4'), synproxy), 'none')
  t.equal(
    grade('input', 0, match({ payload: { protocol: 'ip', field: 'saddr' } }, '192.0.2.1'), synproxy),
    'none',
  )
  const saved = (family: 'ip' | 'ip6') =>
    found(
      parseSave('*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j SYNPROXY --sack-perm\nCOMMIT\n', family),
    )
  t.match(saved('ip6'), [{ grade: 'look', what: /SYNPROXY/, advice: /limit the rule to IPv4/ }])
  t.same(saved('ip'), [])
})
