/** Every scenario in one machine: to boot and to install take minutes. Each leaves the host as it found it: in mode enforce, with worms at work. */
import t, { type Test } from 'tap'
import { firewalls } from './firewalls.js'
import { startMachine } from './host.js'
import { boots, crashes, installation, refusals, stops } from './life.js'
import type { Suite } from './machine.js'
import { removal, upgrades } from './packages.js'
import { protocols } from './protocols.js'
import { attribution, hardening, logs, names } from './system.js'

/** What is shown of the machine when a scenario has failed. */
const JOURNAL = `systemctl --no-pager --failed; systemctl --no-pager status checkvalve-rules
journalctl -b --no-pager -u checkvalve -u checkvalve-rules -o short-monotonic | tail -n 60`

/** Tests that on this Debian nothing gets out, nothing that comes in is disturbed, and updates go on. */
export const everything = (suite: Suite) =>
  t.test(suite, async (t) => {
    const machine = await startMachine(t, suite)
    const scenarios: Readonly<Record<string, (t: Test) => Promise<void>>> = {
      installation: (t) => installation(t, machine, suite),
      'boots, rules removed at a stop': (t) => boots(t, machine, 'remove'),
      'boots, rules kept at a stop': (t) => boots(t, machine, 'keep'),
      crashes: (t) => crashes(t, machine),
      'refused configurations': (t) => refusals(t, machine),
      stops: (t) => stops(t, machine),
      'other firewalls': (t) => firewalls(t, machine, suite),
      'the sandbox': (t) => hardening(t, machine),
      attribution: (t) => attribution(t, machine),
      'the log': (t) => logs(t, machine),
      names: (t) => names(t, machine),
      protocols: (t) => protocols(t, machine),
      upgrades: (t) => upgrades(t, machine, suite),
      removal: (t) => removal(t, machine),
    }
    for (const [name, scenario] of Object.entries(scenarios))
      await t.test(name, async (t) => {
        t.teardown(async () => {
          if (!t.passing()) t.comment((await machine.run(JOURNAL)).output)
        })
        await scenario(t)
      })
  })
