/**
 * The life of a real host: installation, boot, power cut, restart, crash, shutdown. The promise is that from the first boot
 * in mode enforce on no packet of a worm arrives, and clients and updates go on.
 */
import type { Test } from 'tap'
import {
  arrivals,
  configure,
  ENFORCE,
  install,
  LARGE,
  MAIN_PID,
  METRICS,
  startTransfer,
  until,
  untilBooted,
  untilProven,
  works,
  wormsLive,
} from './host.js'
import type { Machine, Suite } from './machine.js'

/** Installs the package, and leads it to mode enforce. */
export async function installation(t: Test, machine: Machine, suite: Suite): Promise<void> {
  const said = await install(machine, suite)
  t.match(said, /installed in mode observe/, 'the package says that nothing is blocked yet')
  await until(machine, 'the service is up', 'systemctl is-active checkvalve')
  t.match(await machine.do('journalctl -u checkvalve -o cat'), /native/, 'the kernel has the queue statement')
  t.equal(await machine.do('systemctl is-enabled checkvalve'), 'enabled')
  t.match(await machine.do('cat /var/lib/checkvalve/boot.nft'), /^# Mode observe/m)

  await configure(machine, ENFORCE)
  await untilProven(machine)
  await until(
    machine,
    'the rules of the next boot are written',
    'grep -q "^create table" /var/lib/checkvalve/boot.nft',
  )
  await works(t, machine, 'in mode enforce')
  t.match(
    await machine.do('apt-get update -o APT::Update::Error-Mode=any'),
    /mirror\.example\.org/,
    'apt updates its lists in mode enforce',
  )
  await machine.do('checkvalve allow add ticket --to 203.0.113.78 --ports 4030 --user root')
  await machine.do('systemctl -q enable worm-early worm-ordinary worm-late')
}

/** Boots, also after a power cut. @param onStop the setting under which that is done */
export async function boots(t: Test, machine: Machine, onStop: 'remove' | 'keep'): Promise<void> {
  await configure(machine, `onStop: ${onStop}\n`, 'stop')
  const before = await arrivals(machine)
  await machine.reboot()
  await untilProven(machine)
  await untilBooted(machine)
  await wormsLive(t, machine)
  t.same(
    await arrivals(machine),
    before,
    `onStop ${onStop}: nothing arrives from the shutdown on and through the boot`,
  )
  await works(t, machine, 'after a boot')
  t.equal(await machine.do('systemctl is-active checkvalve-rules'), 'active')
  t.match(await machine.do('checkvalve allow list'), /ticket/, 'a runtime entry outlives the boot')
  const journal = await machine.do('journalctl -b -o cat')
  t.notMatch(journal, /ordering cycle/, 'the units are ordered without a circle')
  t.notMatch(
    await machine.do('journalctl -b -u checkvalve -p err -o cat'),
    /./,
    'a boot has no error in the journal',
  )

  await machine.cutPower()
  await machine.boot()
  await untilProven(machine)
  t.same(await arrivals(machine), before, `onStop ${onStop}: nor after a power cut`)
}

/** Restarts, kills, and hangs the service. */
export async function crashes(t: Test, machine: Machine): Promise<void> {
  await wormsLive(t, machine)
  const before = await arrivals(machine)
  const finish = await startTransfer(machine)
  await machine.do('systemctl restart checkvalve')
  await untilProven(machine)
  t.same(await arrivals(machine), before, 'nothing arrives during a restart')

  await machine.do(`kill -9 ${MAIN_PID}`)
  await works(t, machine, 'after a crash')
  await untilProven(machine)
  await machine.do(`kill -STOP ${MAIN_PID}`)
  await works(t, machine, 'while the service hangs')
  await until(
    machine,
    'the watchdog has ended it',
    'journalctl -b -u checkvalve -o cat | grep -q "Watchdog timeout"',
  )
  await untilProven(machine)
  t.same(await arrivals(machine), before, 'nor while it is dead or hangs')
  t.equal(await finish(), LARGE, 'a client gets the whole of a file that it began before')
}

/** Gives the service a file that it must refuse, up to a boot with it. */
export async function refusals(t: Test, machine: Machine): Promise<void> {
  const before = await arrivals(machine)
  await machine.do(`echo 'mode: perhaps' > /etc/checkvalve/conf.d/zz-bad.yaml`)
  t.not(
    (await machine.run('systemctl reload checkvalve')).status,
    0,
    'systemctl says that a bad file is refused',
  )
  t.match(await machine.do('checkvalve status || true'), /bad\.yaml/, 'and so does the status')
  await until(
    machine,
    'and the metrics',
    `${METRICS} | grep -q '^checkvalve_config_last_reload_successful 0'`,
  )
  t.not((await machine.run('systemctl restart checkvalve')).status, 0)
  await works(t, machine, 'with a service that does not start')
  t.same(await arrivals(machine), before, 'nothing arrives while it does not start')
  await machine.reboot()
  await untilBooted(machine)
  await works(t, machine, 'after a boot with a service that does not start')
  t.same(await arrivals(machine), before, 'nor after a boot with a service that does not start')
  await machine.do(
    'rm /etc/checkvalve/conf.d/zz-bad.yaml; systemctl reset-failed checkvalve; systemctl start checkvalve',
  )
  await untilProven(machine)
}

/** Stops the service: with `remove` its rules go, with `keep` they guard the host. */
export async function stops(t: Test, machine: Machine): Promise<void> {
  await configure(machine, 'onStop: keep\n', 'stop')
  const kept = await arrivals(machine)
  await machine.do('systemctl stop checkvalve')
  await works(t, machine, 'after a stop that keeps the rules')
  t.same(await arrivals(machine), kept, 'nothing arrives after a stop that keeps the rules')
  await machine.do('systemctl start checkvalve')
  await untilProven(machine)

  await configure(machine, 'onStop: remove\n', 'stop')
  await machine.do('systemctl stop checkvalve')
  await until(
    machine,
    'the worms get out after a stop: they are at work, and their arrivals are seen',
    '[ "$(grep -c " 200[123]$" /var/lib/arrivals)" -gt 20 ]',
  )
  await machine.do('systemctl start checkvalve')
  await untilProven(machine)
  const before = await arrivals(machine)
  await works(t, machine, 'after a start')
  t.same(await arrivals(machine), before, 'nothing arrives any more')
}
