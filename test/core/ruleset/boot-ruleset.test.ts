/** Protects the boot: what is loaded then must be closed, whole, and never undo newer rules. */
import t from 'tap'
import { renderBoot } from '../../../src/core/ruleset/boot-ruleset.js'
import { render } from '../../../src/core/ruleset/ruleset.js'
import { CASES, NOW } from '../policies.js'

const FACTS = {
  services: { tcp: [22, 443], udp: [] },
  rootServices: { tcp: [443], udp: [] },
  opened: [],
  former: [],
}
const named = (name: string) => CASES.find((one) => one.name === name)!
const bootOf = (name: string) => {
  const { policy, options } = named(name)
  return renderBoot(policy, options, FACTS, NOW)
}

t.test(
  'the boot loads the kernel part of the policy, without a queue, with ports and learned addresses',
  async (t) => {
    const { policy, options } = named('native')
    const text = bootOf('native')
    const lasting = policy.rules.filter(({ spec }) => spec.expires === undefined)
    t.ok(
      text.includes(
        render({ ...policy, rules: lasting }, { ...options, form: 'xtables', hasOpened: false }, NOW),
      ),
    )
    t.notMatch(text, /queue flags/)
    t.ok(text.includes('add element inet checkvalve tcp_services { 22, 443 }'))
    const create = text.indexOf('create table inet checkvalve')
    t.ok(
      create >= 0 && create < text.indexOf('table inet checkvalve {'),
      'a loaded table makes it fail as a whole',
    )
    t.match(bootOf('enforce'), /add element inet checkvalve rule\d+_hosts4 \{ 198\.51\.100\.2 timeout/)
  },
)

t.test('the boot loads no rule that expires: nobody knows how long the host was off', async (t) => {
  const { policy, options } = named('enforce')
  const [first, ...rest] = policy.rules
  const expiring = { ...first!, spec: { ...first!.spec, name: 'soon', expires: NOW + 1000 } }
  const text = renderBoot({ ...policy, rules: [expiring, ...rest] }, options, FACTS, NOW)
  t.notMatch(text, 'soon')
  t.equal(text, renderBoot({ ...policy, rules: rest }, options, FACTS, NOW))
})

t.test('in mode observe the boot loads nothing; a closed fallback has no addresses', async (t) => {
  t.ok(
    bootOf('observe')
      .split('\n')
      .every((line) => line === '' || line.startsWith('#')),
  )
  t.notMatch(bootOf('closed'), /_hosts4 \{ 198/)
})
