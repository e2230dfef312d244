import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { compile } from '../../../src/core/policy/policy.js'
import { fallbackOf } from '../../../src/core/ruleset/fallback.js'
import {
  type HostChanges,
  namesQueues,
  renderHostChanges,
  renderHosts,
  renderSocketFacts,
  renderUpdate,
} from '../../../src/core/ruleset/ruleset.js'
import { CASES, HOSTS, mirrorsOf, NOW, textOf, v4, v6 } from '../policies.js'

const golden = (name: string) => new URL(`../../../../test/golden/${name}.nft`, import.meta.url)

for (const one of CASES)
  t.test(`the ruleset of the policy "${one.name}" equals its golden file`, async (t) => {
    const text = textOf(one)
    if (process.env.UPDATE_GOLDEN) writeFileSync(golden(one.name), text)
    t.equal(text, readFileSync(golden(one.name), 'utf8'))
  })

t.test('mode observe drops nothing, also where names would be enforced', async (t) => {
  const one = CASES.find(({ name }) => name === 'names-enforced')!
  const observed = textOf({ ...one, policy: { ...one.policy, mode: 'observe' } })
  const judge = /chain judge \{.*?\n {2}\}/s.exec(observed)![0]
  t.notMatch(judge, /drop$/m)
  t.match(/chain judge \{.*?\n {2}\}/s.exec(textOf(one))![0], /@resolvers4 drop$/m)
})

t.test('an update keeps the base chains: the removal of a hook would drop queued packets', async (t) => {
  for (const form of ['native', 'xtables'] as const) {
    const update = renderUpdate('table inet checkvalve {\n}\n', form, ['old1', 'old2'])
    t.notMatch(update, /delete (table|chain)|flush table/)
    t.match(update, /flush chain inet checkvalve judge\n/)
    t.match(update, /delete set inet checkvalve old1\ndelete set inet checkvalve old2\n/)
    t.equal(update.includes('chain enqueue'), form === 'native')
  }
})

t.test('an update keeps the clients that the kernel has seen: no other part knows them', async (t) => {
  const update = renderUpdate('', 'xtables', ['clients4', 'clients6', 'approved4'])
  t.notMatch(update, /clients/)
  t.match(update, /delete set inet checkvalve approved4/)
})

t.test('service ports, opened connections and former addresses replace the previous ones', async (t) => {
  const opened = [v4(198, 51, 100, 2), v6(0, 2)].map(({ family, words: remote }) => {
    const local = family === 4 ? v4(192, 0, 2, 1).words : v6(0, 1).words
    return { family, local, localPort: 40000, remote, remotePort: 80 }
  })
  t.equal(
    renderSocketFacts({
      services: { tcp: [22, 443], udp: [443] },
      rootServices: { tcp: [443], udp: [50_000] },
      opened,
      former: [v6(0, 3)],
    }),
    [
      'flush set inet checkvalve tcp_services',
      'add element inet checkvalve tcp_services { 22, 443 }',
      'flush set inet checkvalve udp_services',
      'add element inet checkvalve udp_services { 443 }',
      'flush set inet checkvalve root_services',
      'add element inet checkvalve root_services { tcp . 443, udp . 50000 }',
      'flush set inet checkvalve opened4',
      'add element inet checkvalve opened4 { 192.0.2.1 . 40000 . 198.51.100.2 . 80 }',
      'flush set inet checkvalve opened6',
      'add element inet checkvalve opened6 { 2001:db8::1 . 40000 . 2001:db8::2 . 80 }',
      'flush set inet checkvalve former4',
      'flush set inet checkvalve former6',
      'add element inet checkvalve former6 { 2001:db8::3 }',
    ].join('\n'),
  )
  const sets = ['tcp_services', 'udp_services', 'root_services', 'opened4', 'opened6', 'former4', 'former6']
  t.equal(
    renderSocketFacts({
      services: { tcp: [], udp: [] },
      rootServices: { tcp: [], udp: [] },
      opened: [],
      former: [],
    }),
    sets.map((set) => `flush set inet checkvalve ${set}`).join('\n'),
  )
})

const find = (name: string) => CASES.find((each) => each.name === name)!

/** Returns the lines about the sets of one rule of a policy. */
function changed(name: string, rule: string, changes: HostChanges, now = NOW): string[] {
  const { policy, options } = find(name)
  const index = policy.rules.findIndex(({ spec }) => spec.name === rule)
  return renderHostChanges(policy, index, changes, options, now).flatMap((text) => text.split('\n'))
}

t.test(
  'changed addresses are added, deleted and added: the update succeeds in any state of the kernel',
  async (t) => {
    const four = 'element inet checkvalve rule1_hosts4'
    const six = 'element inet checkvalve rule1_hosts6'
    t.same(changed('enforce', 'mirrors', { added: HOSTS, removed: [v4(198, 51, 100, 3)] }), [
      `add ${four} { 198.51.100.3 }`,
      `delete ${four} { 198.51.100.3 }`,
      `add ${four} { 198.51.100.2 }`,
      `delete ${four} { 198.51.100.2 }`,
      `add ${four} { 198.51.100.2 timeout 86400s }`,
      `add ${six} { 2001:db8::2 }`,
      `delete ${six} { 2001:db8::2 }`,
      `add ${six} { 2001:db8::2 timeout 86400s }`,
    ])
    t.same(changed('enforce', 'mirrors', { added: [], removed: [v6(0, 3)] }), [
      `add ${six} { 2001:db8::3 }`,
      `delete ${six} { 2001:db8::3 }`,
    ])
    t.same(changed('enforce', 'mirrors', { added: [], removed: [] }), [])
  },
)

t.test('a rule without sets in the kernel has no changes there', async (t) => {
  const changes = { added: HOSTS, removed: [v4(198, 51, 100, 3)] }
  t.same(changed('enforce', 'resolver', changes), [], 'the rule has no names')
  t.same(changed('names-enforced', 'wild', changes, NOW + 3_600_001), [], 'the rule has expired')
  t.equal(changed('names-enforced', 'wild', changes, NOW + 3_600_000).length, 8)
})

t.test('an address does not outlive its rule in the kernel', async (t) => {
  const timeout = (now: number) =>
    /timeout (\d+)s/.exec(changed('names-enforced', 'wild', { added: HOSTS, removed: [] }, now).join())?.[1]
  t.equal(timeout(NOW), '3601')
  t.equal(timeout(NOW + 3_600_000), '1', 'the timeout is never 0, which means no timeout')
  t.equal(timeout(NOW - 86_400_000), '86400')
})

t.test('many addresses are loaded in transactions that the kernel accepts', async (t) => {
  const added = Array.from({ length: 1001 }, (_, i) => v4(198, 18, i >> 8, i & 0xff))
  const lines = changed('enforce', 'mirrors', { added, removed: [] })
  const counts = lines.map((line) => `${line.split(' ')[0]} ${line.split(',').length}`)
  const piece = (count: number) => ['add', 'delete', 'add'].map((verb) => `${verb} ${count}`)
  t.same(counts, [...piece(500), ...piece(500), ...piece(1)])
})

t.test('all learned addresses are loaded with a policy, for the rules that have sets', async (t) => {
  const { policy, options } = find('names-enforced')
  const lines = renderHosts(policy, options, NOW)
  t.same(
    lines.map((line) => /rule\d_hosts\d/.exec(line)?.[0]),
    ['rule1_hosts4', 'rule1_hosts6', 'rule2_hosts4', 'rule2_hosts6'],
  )
  t.equal(lines[3], 'add element inet checkvalve rule2_hosts6 { 2001:db8::2 timeout 3601s }')
  t.same(renderHosts(policy, options, NOW + 3_600_001).length, 2, 'one rule has expired')
  t.same(renderHosts(find('names-unknown').policy, options, NOW), [])
})

t.test('the queue numbers for DNS follow those of the other queues', async (t) => {
  t.same(namesQueues({ first: 100, count: 1 }), { questions: 101, answers: 102 })
  t.same(namesQueues({ first: 7, count: 4 }), { questions: 11, answers: 12 })
})

t.test('each address is in the kernel once, also when several names have it', async (t) => {
  const { policy, options } = find('opened')
  const { addresses } = mirrorsOf(policy)
  addresses.add(HOSTS[0]!)
  t.teardown(() => addresses.remove(HOSTS[0]!))
  t.equal(renderHosts(policy, options, NOW)[0]!.split('198.51.100.2 ').length, 2)
})

const DAY = 86_400_000

t.test('nft can read the timeout of a rule: whole milliseconds, with at most eight digits', async (t) => {
  const { policy, options } = CASES.find(({ name }) => name === 'enforce')!
  const { spec } = policy.rules.find((rule) => rule.spec.expires === NOW + 90_500)!
  const timeout = (left: number) => {
    const rules = [compile({ ...spec, expires: NOW + left })]
    return /timeout (\w+) /.exec(fallbackOf({ ...policy, rules }, options, NOW).sets.join())?.[1]
  }
  t.equal(timeout(1), '1ms')
  t.equal(timeout(1499.7), '1500ms')
  t.equal(timeout(0.2), '1ms', 'the timeout is never 0, which means no timeout')
  t.equal(timeout(DAY - 1), '86399999ms')
  t.equal(timeout(DAY), '1d')
  t.equal(timeout(7 * DAY + 1), '7d1ms')
  t.equal(timeout(9000 * 365 * DAY), '36500d', 'the timeout is longer than any kernel runs')
})
