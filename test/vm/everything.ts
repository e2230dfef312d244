/** Every scenario in one machine: to boot and to install take minutes. Each leaves the host as it found it: in mode enforce, with worms at work. */
import t from 'tap'
import { firewalls } from './firewalls.js'
import { startMachine } from './host.js'
import { boots, crashes, installation, refusals, stops } from './life.js'
import type { Suite } from './machine.js'
import { removal, upgrades } from './packages.js'
import { protocols } from './protocols.js'
import { attribution, hardening, logs, names } from './system.js'

/** Tests that on this Debian nothing gets out, nothing that comes in is disturbed, and updates go on. */
export const everything = (suite: Suite) =>
  t.test(suite, async (t) => {
    const machine = await startMachine(t, suite)
    await t.test('installation', (t) => installation(t, machine, suite))
    await t.test('boots', async (t) => {
      for (const onStop of ['remove', 'keep'] as const) await boots(t, machine, onStop)
    })
    await t.test('crashes', (t) => crashes(t, machine))
    await t.test('refused configurations', (t) => refusals(t, machine))
    await t.test('stops', (t) => stops(t, machine))
    await t.test('other firewalls', (t) => firewalls(t, machine, suite))
    await t.test('the sandbox', (t) => hardening(t, machine))
    await t.test('attribution', (t) => attribution(t, machine))
    await t.test('the log', (t) => logs(t, machine))
    await t.test('names', (t) => names(t, machine))
    await t.test('protocols', (t) => protocols(t, machine))
    await t.test('upgrades', (t) => upgrades(t, machine, suite))
    await t.test('removal', (t) => removal(t, machine))
  })
