import t, { type Test } from 'tap'
import type { Loaded } from '../../../src/kernel/nftables/firewall.js'
import { RulesetGuard } from '../../../src/kernel/nftables/ruleset-guard.js'
import { Clock, settled } from '../../names/clock.js'

/** Makes a guard of rules whose checks the test answers, with a clock that the test moves. */
function guarding(t: Test) {
  const clock = Clock.install(t)
  const state = {
    clock,
    present: true,
    answer: async (): Promise<'intact' | 'restored'> => 'intact',
    checks: 0,
    restored: 0,
    errors: [] as string[],
  }
  const firewall = {
    get loaded() {
      return state.present ? ({} as Loaded) : undefined
    },
    verify: () => {
      state.checks++
      return state.answer()
    },
  }
  const guard = new RulesetGuard({
    firewall,
    onRestored: () => void state.restored++,
    onError: ({ message }) => void state.errors.push(message),
  })
  return Object.assign(state, { guard })
}

t.test('a burst of changes causes one check, and a later change causes another one', async (t) => {
  const its = guarding(t)
  for (let i = 0; i < 100; i++) its.guard.onChange()
  t.equal(its.checks, 0, 'no check runs before the end of the burst')
  await its.clock.pass(20)
  t.equal(its.checks, 1)
  its.guard.onChange()
  await its.clock.pass(20)
  t.equal(its.checks, 2)
})

t.test('a table that is gone is put back at once, without waiting for the end of a burst', async (t) => {
  const its = guarding(t)
  its.answer = async () => 'restored'
  its.guard.onTableGone()
  t.equal(its.checks, 1)
  await settled()
  t.equal(its.restored, 1)
  its.answer = async () => Promise.reject(new Error('no nft'))
  its.guard.onTableGone()
  await settled()
  t.same(its.errors, ['no nft'])
})

t.test('a burst without an end does not delay the check for ever', async (t) => {
  const its = guarding(t)
  for (let i = 0; i < 100; i++) {
    its.guard.onChange()
    await its.clock.pass(1)
  }
  t.ok(its.checks >= 4)
})

t.test('only rules that had to be restored are reported', async (t) => {
  const its = guarding(t)
  await its.guard.verify()
  t.equal(its.restored, 0)
  its.answer = async () => 'restored'
  its.guard.onChange()
  await its.clock.pass(20)
  t.equal(its.restored, 1)
})

t.test(
  'a check that fails rejects for its caller, or is logged; the next change is checked again',
  async (t) => {
    const its = guarding(t)
    its.answer = async () => Promise.reject(new Error('no netlink'))
    await t.rejects(its.guard.verify(), { message: 'no netlink' })
    t.same(its.errors, [])
    its.guard.onChange()
    await its.clock.pass(20)
    await settled()
    t.same(its.errors, ['no netlink'])
    its.guard.onChange()
    await its.clock.pass(20)
    t.equal(its.checks, 3)
  },
)

t.test('without rules of this service nothing is checked', async (t) => {
  const its = guarding(t)
  its.present = false
  its.guard.onChange()
  its.guard.onTableGone()
  await its.clock.pass(20)
  t.equal(its.checks, 0)
})

t.test(
  'after the stop nothing is checked: rules that were removed at the end are not restored',
  async (t) => {
    const its = guarding(t)
    its.guard.onChange()
    its.guard.stop()
    its.guard.onChange()
    its.guard.onTableGone()
    await its.guard.verify()
    await its.clock.pass(20)
    t.equal(its.checks, 0)
  },
)
