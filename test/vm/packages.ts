/** Upgrade, downgrade and removal of the package on a host that serves clients and is attacked. */
import type { Test } from 'tap'
import {
  arrivals,
  install,
  LARGE,
  MAIN_PID,
  startTransfer,
  until,
  untilProven,
  works,
  wormsLive,
} from './host.js'
import type { Machine, Suite } from './machine.js'

/** The folder of the same package with an older number: scripts/test-vm. */
const OLDER = '/opt/packages/older'

export async function upgrades(t: Test, machine: Machine, suite: Suite): Promise<void> {
  await wormsLive(t, machine)
  const before = await arrivals(machine)
  const finish = await startTransfer(machine)
  for (const [what, folder] of [
    ['downgrade', OLDER],
    ['upgrade', '/opt/packages'],
  ] as const) {
    const pid = await machine.do(`echo ${MAIN_PID}`)
    await install(machine, suite, folder)
    t.not(await machine.do(`echo ${MAIN_PID}`), pid, `${what}: the service runs the new files`)
    await untilProven(machine)
    await works(t, machine, `after the ${what}`)
    t.same(await arrivals(machine), before, `${what}: nothing arrives`)
    t.match(
      await machine.do('cat /etc/checkvalve/conf.d/test.yaml'),
      /mirror\.example\.org/,
      'the configuration is kept',
    )
    t.match(await machine.do('checkvalve allow list'), /ticket/, 'and so are runtime entries')
  }
  t.equal(await finish(), LARGE, 'a client gets the whole of a file that it began before')
}

export async function removal(t: Test, machine: Machine): Promise<void> {
  await machine.do('DEBIAN_FRONTEND=noninteractive apt-get remove -y checkvalve', 300)
  await until(
    machine,
    'the worms get out',
    '[ "$(tail -n 100 /var/lib/arrivals | grep -c " 200[123]$")" -gt 20 ]',
  )
  t.notMatch(
    await machine.do('nft list ruleset; iptables-save'),
    /checkvalve/,
    'a removal takes its rules along',
  )
  await works(t, machine, 'after the removal')
  t.match(
    await machine.do('ls /etc/checkvalve/conf.d /var/lib/checkvalve'),
    /test\.yaml/,
    'the configuration is kept',
  )
  await machine.do(
    `DEBIAN_FRONTEND=noninteractive apt-get purge -y $(dpkg -l 'checkvalve*' | awk '/^(ii|rc)/ { print $2 }')`,
    300,
  )
  t.equal(
    await machine.do(
      `ls -d /etc/checkvalve /var/lib/checkvalve /var/log/checkvalve /run/checkvalve 2>/dev/null; getent passwd checkvalve
       find / -xdev -name '*checkvalve*' -not -path '/proc/*' -not -path '/opt/packages/*' -not -path '/var/log/*' -not -path '/var/lib/dpkg/*' -not -path '/var/lib/apt/*'; true`,
    ),
    '',
    'a purge leaves nothing',
  )
}
