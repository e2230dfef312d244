/**
 * Follows a service through the life of a real host: installation, boot, power cut, restart, crash, removal. The promise is
 * that from the first boot in mode enforce on no packet of a worm arrives, and clients and updates go on.
 */
import t from 'tap'
import {
  arrivals,
  configure,
  ENFORCE,
  install,
  NONE,
  startMachine,
  until,
  untilProven,
  works,
} from './host.js'
import type { Suite } from './machine.js'

/** Tests the life of a host with this Debian. */
export const life = (suite: Suite) =>
  t.test(`${suite}: nothing gets out from the boot to the shutdown`, async (t) => {
    const machine = await startMachine(t, suite)
    const said = await install(machine, suite)
    t.match(said, /installed in mode observe/, 'the package says that nothing is blocked yet')
    await until(machine, 'the service is up', 'systemctl is-active checkvalve')
    t.match(
      await machine.do('journalctl -u checkvalve -o cat'),
      /native/,
      'the kernel has the queue statement',
    )
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
    await machine.do('systemctl -q enable worm-early worm-ordinary worm-late')

    await machine.reboot()
    await untilProven(machine)
    t.same(await arrivals(machine), NONE, 'nothing arrives from the first moment of a boot on')
    await works(t, machine, 'after a boot')
    t.equal(await machine.do('systemctl is-active checkvalve-rules'), 'active')

    await machine.cutPower()
    await machine.boot()
    await untilProven(machine)
    t.same(await arrivals(machine), NONE, 'nor after a power cut')

    await machine.do('systemctl restart checkvalve')
    await untilProven(machine)
    t.same(await arrivals(machine), NONE, 'nor during a restart')
    const pid = await machine.do('systemctl show -P MainPID checkvalve')
    await machine.do(`kill -9 ${pid}`)
    await works(t, machine, 'after a crash')
    await untilProven(machine)
    await machine.do('kill -STOP $(systemctl show -P MainPID checkvalve)')
    await works(t, machine, 'while the service hangs')
    await until(machine, 'the watchdog has ended it', 'journalctl -u checkvalve -o cat | grep -q Watchdog')
    await untilProven(machine)
    t.same(await arrivals(machine), NONE, 'nor while it is dead or hangs')

    await machine.do(`echo 'mode: perhaps' > /etc/checkvalve/conf.d/bad.yaml`)
    t.not(
      (await machine.run('systemctl reload checkvalve')).status,
      0,
      'systemctl says that a bad file is refused',
    )
    t.match(await machine.do('checkvalve status || true'), /bad\\.yaml/, 'and so does the status')
    t.not((await machine.run('systemctl restart checkvalve')).status, 0)
    await works(t, machine, 'with a service that does not start')
    t.same(await arrivals(machine), NONE, 'nor while it does not start')
    await machine.reboot()
    await works(t, machine, 'after a boot with a service that does not start')
    t.same(await arrivals(machine), NONE, 'nor then')
    await machine.do(
      'rm /etc/checkvalve/conf.d/bad.yaml; systemctl reset-failed checkvalve; systemctl start checkvalve',
    )
    await untilProven(machine)

    await machine.do('systemctl stop checkvalve')
    await until(
      machine,
      'the worms get out after a stop',
      '[ "$(grep -c " 200[123]$" /var/lib/arrivals)" -gt 20 ]',
    )
    await machine.do('systemctl start checkvalve')
    await untilProven(machine)
    const before = await arrivals(machine)
    await works(t, machine, 'after a start')
    t.same(await arrivals(machine), before, 'nothing arrives any more')

    await machine.do('DEBIAN_FRONTEND=noninteractive apt-get purge -y checkvalve', 300)
    t.equal(
      await machine.do(
        'nft list tables; ls /etc/checkvalve /var/lib/checkvalve /var/log/checkvalve 2>/dev/null; true',
      ),
      '',
    )
    await works(t, machine, 'after the removal')
  })
