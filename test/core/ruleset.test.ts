import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { render, renderHosts, renderSocketFacts, renderUpdate } from '../../src/core/ruleset.js'
import { CASES, HOSTS, NOW, v4, v6 } from './policies.js'

const golden = (name: string) => new URL(`../../../test/golden/${name}.nft`, import.meta.url)

for (const { name, policy, options, hosts } of CASES)
  t.test(`the ruleset of the policy "${name}" is the golden one, to the letter`, async (t) => {
    const text = render(policy, options, hosts, NOW)
    if (process.env.UPDATE_GOLDEN) writeFileSync(golden(name), text)
    t.equal(text, readFileSync(golden(name), 'utf8'))
  })

t.test(
  'an update leaves the base chains where they are: taking a hook away would drop what is queued',
  async (t) => {
    for (const form of ['native', 'xtables'] as const) {
      const update = renderUpdate('table inet checkvalve {\n}\n', form, ['old1', 'old2'])
      t.notMatch(update, /delete (table|chain)|flush table/)
      t.match(update, /flush chain inet checkvalve judge\n/)
      t.match(update, /delete set inet checkvalve old1\ndelete set inet checkvalve old2\n/)
      t.equal(update.includes('chain enqueue'), form === 'native')
    }
  },
)

t.test('an update keeps whom the kernel has seen come in: nobody else knows these clients', async (t) => {
  const update = renderUpdate('', 'xtables', ['clients4', 'clients6', 'approved4'])
  t.notMatch(update, /clients/)
  t.match(update, /delete set inet checkvalve approved4/)
})

t.test('what the sockets tell takes the place of what they told before', async (t) => {
  const opened = [v4(198, 51, 100, 2), v6(0, 2)].map(({ family, words: remote }) => {
    const local = family === 4 ? v4(192, 0, 2, 1).words : v6(0, 1).words
    return { family, local, localPort: 40000, remote, remotePort: 80 }
  })
  t.equal(
    renderSocketFacts({ services: { tcp: [22, 443], udp: [443] }, opened }),
    [
      'flush set inet checkvalve tcp_services',
      'add element inet checkvalve tcp_services { 22, 443 }',
      'flush set inet checkvalve udp_services',
      'add element inet checkvalve udp_services { 443 }',
      'flush set inet checkvalve opened4',
      'add element inet checkvalve opened4 { 192.0.2.1 . 40000 . 198.51.100.2 . 80 }',
      'flush set inet checkvalve opened6',
      'add element inet checkvalve opened6 { 2001:db8::1 . 40000 . 2001:db8::2 . 80 }',
    ].join('\n'),
  )
  const sets = ['tcp_services', 'udp_services', 'opened4', 'opened6']
  t.equal(
    renderSocketFacts({ services: { tcp: [], udp: [] }, opened: [] }),
    sets.map((set) => `flush set inet checkvalve ${set}`).join('\n'),
  )
})

t.test('new addresses take the place of the old ones in one transaction', async (t) => {
  t.equal(
    renderHosts(3, HOSTS, 60),
    [
      'flush set inet checkvalve rule3_hosts4',
      'add element inet checkvalve rule3_hosts4 { 198.51.100.2 timeout 60s }',
      'flush set inet checkvalve rule3_hosts6',
      'add element inet checkvalve rule3_hosts6 { 2001:db8::2 timeout 60s }',
    ].join('\n'),
  )
  t.equal(
    renderHosts(0, [], 60),
    'flush set inet checkvalve rule0_hosts4\nflush set inet checkvalve rule0_hosts6',
  )
})
