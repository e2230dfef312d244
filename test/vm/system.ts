/** What a namespace cannot show of the service on a host with systemd: its sandbox, whom blocks name, where the log goes, and the stub of systemd-resolved. */
import type { Test } from 'tap'
import { arrivals, configure, MAIN_PID, until, untilProven, works } from './host.js'
import type { Machine } from './machine.js'

/** The exposure that `systemd-analyze security` gives at most. */
const EXPOSURE = 2.0
const VICTIM = '203.0.113.77'

/** The sandbox holds, and nothing that the service does meets it. */
export async function hardening(t: Test, machine: Machine): Promise<void> {
  const said = await machine.do('systemd-analyze security --no-pager checkvalve | tail -1')
  t.ok(Number(/: ([0-9.]+) /.exec(said)?.[1]) <= EXPOSURE, said)
  const status = await machine.do(`cat /proc/${MAIN_PID}/status`)
  t.match(status, /^NoNewPrivs:\t1$/m)
  t.match(status, /^Seccomp:\t2$/m)
  t.match(
    status,
    /^CapBnd:\t0000000000003004$/m,
    'no capability but CAP_DAC_READ_SEARCH, CAP_NET_ADMIN and CAP_NET_RAW',
  )
  const inside = `nsenter -m -t ${MAIN_PID}`
  for (const folder of ['/usr', '/etc/checkvalve', '/sys/fs/cgroup', '/proc/sys/net/ipv4', '/home'])
    t.not(
      (await machine.run(`${inside} sh -c 'echo >${folder}/probe'`)).status,
      0,
      `the service cannot write to ${folder}`,
    )
  t.equal(
    (await machine.run('journalctl -b | grep -E "type=1326|SIGSYS"')).output,
    '',
    'no system call ended a program',
  )
}

/** A user without worms: one user's flood hides no block of another. */
const USER = 'backup'

/** Sends a packet from a unit, and gives the line of the log of its block. */
async function blockOf(machine: Machine, unit: string, port: number): Promise<Record<string, unknown>> {
  await machine.run(`systemd-run --wait --uid=${USER} --unit=${unit} curl -sm 20 http://${VICTIM}:${port}/`)
  const found = `grep -ah '"destination.port":${port},' /var/log/checkvalve/blocks.json`
  await until(machine, `the block of ${unit} is in the log`, found)
  return JSON.parse((await machine.do(found)).split('\n')[0]!)
}

/** A machine this slow does not name each unit that lives for a moment. */
const TRIES = 6

/** Sends single packets from units until the block of one has what is wanted. */
async function untilNamed(
  t: Test,
  machine: Machine,
  name: string,
  firstPort: number,
  isNamed: (line: Record<string, unknown>, unit: string) => boolean,
): Promise<void> {
  for (let n = 0; n < TRIES; n++) {
    const unit = `${name}-${n}`
    const line = await blockOf(machine, unit, firstPort + n)
    t.equal(line['user.name'], USER)
    if (isNamed(line, `${unit}.service`)) {
      t.pass(`${name}: named at try ${n + 1}`)
      return
    }
  }
  t.fail(`${name}: none of ${TRIES} units is named`)
}

/** Blocks of quiet units are named, with the drop-in the program, too. In a flood that takes a faster machine. */
export async function attribution(t: Test, machine: Machine): Promise<void> {
  await machine.do('systemctl stop worm-early worm-ordinary worm-late; pkill -x worm || true')
  t.teardown(() => machine.do('systemctl start worm-early worm-ordinary worm-late'))
  await untilNamed(t, machine, 'unit', 4100, (line, unit) => line['checkvalve.unit'] === unit)

  await machine.do(`mkdir -p /etc/systemd/system/checkvalve.service.d
    cp /usr/share/doc/checkvalve/examples/process-names.conf /etc/systemd/system/checkvalve.service.d/
    systemctl daemon-reload; systemctl restart checkvalve`)
  await untilProven(machine)
  await untilNamed(t, machine, 'program', 4120, (line) => /\/curl$/.test(String(line['process.executable'])))
  await machine.do(
    'rm -r /etc/systemd/system/checkvalve.service.d; systemctl daemon-reload; systemctl restart checkvalve',
  )
  await untilProven(machine)

  await configure(
    machine,
    `allow: [{ name: shop, to: [${VICTIM}], ports: [4010], protocol: udp, units: [shop.service] }]\n`,
    'units',
  )
  // A datagram whose socket is closed before it is judged has no unit any more.
  const send = (unit: string) =>
    machine.run(
      `systemd-run --wait --uid=${USER} --unit=${unit} bash -c 'exec 3<>/dev/udp/${VICTIM}/4010; for n in 1 2 3; do echo >&3; sleep 2; done'`,
    )
  const arrived = `grep -c ' ${VICTIM} 4010$' /var/lib/arrivals || true`
  await send('other')
  t.equal(await machine.do(arrived), '0', 'a rule with a unit lets no other unit out')
  await send('shop')
  await until(machine, 'the packet of the unit arrives', `[ "$(${arrived})" -gt 0 ]`)
  await configure(machine, '', 'units')
}

/** The log after logrotate, for its readers, and in the journal. */
export async function logs(t: Test, machine: Machine): Promise<void> {
  const log = '/var/log/checkvalve/blocks.json'
  const inode = await machine.do(`stat -c %i ${log}`)
  const owner = await machine.do(`stat -c '%U %G %a' ${log}`)
  await machine.do('logrotate -f /etc/logrotate.d/checkvalve')
  const line = await blockOf(machine, 'rotated', 4020)
  t.match(line, { 'event.action': 'block' }, 'a block after the rotation is in the new file')
  t.not(await machine.do(`stat -c %i ${log}`), inode, 'the file is a new one')
  t.equal(await machine.do(`stat -c '%U %G %a' ${log}`), owner, 'with owner, group and mode of the old one')

  t.equal(owner, 'checkvalve adm 640', 'group adm reads the log, after restarts and boots too')
  await machine.do('id reader >/dev/null 2>&1 || useradd -G adm reader')
  t.match(
    await machine.do('runuser -u reader -- checkvalve tail --no-follow'),
    /www-data/,
    'a reader of logs reads it',
  )
  t.not(
    (await machine.run('runuser -u reader -- checkvalve status')).status,
    0,
    'and may not ask the service',
  )

  await configure(machine, 'log: { destination: stdout }\n', 'log')
  await machine.do('systemctl restart checkvalve')
  await untilProven(machine)
  await machine.run(`systemd-run --wait --uid=${USER} --unit=journal curl -sm 20 http://${VICTIM}:4021/`)
  const found = `journalctl -b -u checkvalve -o cat | grep '"destination.port":4021,'`
  await until(machine, 'the block is in the journal', found)
  t.match(JSON.parse((await machine.do(found)).split('\n')[0]!), {
    'user.name': USER,
    'event.action': 'block',
  })
  await machine.do('rm /etc/checkvalve/conf.d/log.yaml; systemctl restart checkvalve')
  await untilProven(machine)
}

/** Names by the stub of systemd-resolved, and queries for other names. */
export async function names(t: Test, machine: Machine): Promise<void> {
  await machine.do(`mkdir -p /etc/systemd/resolved.conf.d
    printf '[Resolve]\\nDNS=198.51.100.2\\nFallbackDNS=\\n' >/etc/systemd/resolved.conf.d/lab.conf
    systemctl start systemd-resolved && ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf`)
  await works(t, machine, 'by the stub of systemd-resolved')
  const fetch = 'curl -sf --max-time 60 -o /dev/null http://mirror.example.org/debian/Release'
  t.not(
    (await machine.run(`runuser -u www-data -- ${fetch}`)).status,
    0,
    'www-data does not reach the mirror',
  )
  const before = await arrivals(machine)

  await configure(machine, 'dns: { enforceNames: true }\n', 'names')
  await works(t, machine, 'with enforced names, by the stub')
  await machine.run('timeout 60 runuser -u www-data -- getent hosts secret-a.victim.example.net')
  await machine.do(`systemctl stop systemd-resolved; ln -sf /dev/null /etc/resolv.conf; rm /etc/resolv.conf
    echo 'nameserver 198.51.100.2' >/etc/resolv.conf`)
  await works(t, machine, 'with enforced names, without the stub')
  await machine.run('timeout 60 runuser -u www-data -- getent hosts secret-b.victim.example.net')
  t.equal(
    await machine.do('grep -c secret- /var/lib/queries || true'),
    '0',
    'no query for another name arrives',
  )
  await configure(machine, '', 'names')
  await works(t, machine, 'when names are no longer enforced')
  await machine.run('timeout 60 runuser -u root -- getent hosts secret-c.victim.example.net')
  await until(
    machine,
    'the query is seen: the resolver writes them down',
    'grep -q secret-c /var/lib/queries',
  )
  t.same(await arrivals(machine), before)
}
