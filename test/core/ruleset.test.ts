import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { render, renderHosts, renderUpdate } from '../../src/core/ruleset.js'
import { CASES, HOSTS, NOW } from './policies.js'

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
