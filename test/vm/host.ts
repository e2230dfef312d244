/** A web server in an emulated machine, with checkvalve from its package, a client, a mirror, victims and worms. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { Machine, type Suite } from './machine.js'

const { CHECKVALVE_VM_IMAGES: images = '', CHECKVALVE_VM_PAYLOAD: payload = '' } = process.env

/** Emulation takes its time; states are waited for, and no time is measured. */
const PATIENCE_MS = 300_000

/** The ports of the worms: guest/worm-NAME.service. */
export const WORMS = { early: 2001, ordinary: 2002, late: 2003 } as const

export const ENFORCE = `mode: enforce
mirrors: { hosts: [mirror.example.org], ports: [80] }
canary: { interval: 5s }
`

/** Makes a machine, and puts the packages into /opt/packages. It is closed at the end of the test. */
export async function startMachine(t: Test, suite: Suite): Promise<Machine> {
  const machine = await Machine.create({ suite, images, payload })
  t.teardown(() => machine.close())
  await machine.do('mkdir -p /opt/packages && tar -xf /dev/vdb -C /opt/packages')
  return machine
}

/** Installs the packages of a folder as an administrator does; Debian 12 has no Node.js that is new enough. */
export function install(machine: Machine, suite: Suite, folder = '/opt/packages'): Promise<string> {
  const node = suite === 'bookworm' ? '/opt/packages/checkvalve-node_*.deb ' : ''
  return machine.do(
    `DEBIAN_FRONTEND=noninteractive apt-get install -y --allow-downgrades ${node}${folder}/checkvalve_*.deb`,
    600,
  )
}

/** Writes a file of the configuration, and waits until the service has taken it. */
export async function configure(machine: Machine, settings: string, name = 'test'): Promise<void> {
  await machine.do(`cat > /etc/checkvalve/conf.d/${name}.yaml <<'END'
${settings}END
systemctl reload checkvalve`)
}

/** Waits until a command succeeds. @throws Error (rejects) with its last output */
export async function until(machine: Machine, what: string, command: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const { status, output } = await machine.run(command)
    if (status === 0) return
    if (performance.now() > end) throw new Error(`${what}: ${command}\n${output}`)
    await sleep(1000)
  }
}

/** The process of the service, as a word of a script. */
export const MAIN_PID = '$(systemctl show -P MainPID checkvalve)'

/** Prints the metrics. */
export const METRICS = 'curl -s http://127.0.0.1:17671/metrics'

/** Waits until all that a boot starts is up. */
export const untilBooted = (machine: Machine): Promise<void> =>
  until(machine, 'the machine has booted', 'systemctl is-active worm-late && systemctl is-active nginx')

/** Waits until the service judges, and the canary has proved it. */
export async function untilProven(machine: Machine): Promise<void> {
  await until(machine, 'the service is up', 'systemctl is-active checkvalve')
  await until(
    machine,
    'blocking is proven',
    `${METRICS} | grep -q '^checkvalve_enforcement_proven{family="ipv4"} 1'`,
  )
}

/** What has arrived at the victims so far, since the image was made: packets of each worm, and all others. */
export async function arrivals(machine: Machine): Promise<Record<keyof typeof WORMS | 'others', number>> {
  const output = await machine.do(
    `awk '$1 != "listening" { count[$4 ~ /^200[123]$/ ? $4 : "others"]++ }
      END { for (port in count) print port, count[port] }' /var/lib/arrivals`,
  )
  const counts = new Map(output.split('\n').map((line) => line.split(' ') as [string, string]))
  const count = (key: number | string) => Number(counts.get(String(key)) ?? 0)
  return {
    early: count(WORMS.early),
    ordinary: count(WORMS.ordinary),
    late: count(WORMS.late),
    others: count('others'),
  }
}

/** Whether the worms are at work: without that nothing is proved by what does not arrive. */
export async function wormsLive(t: Test, machine: Machine): Promise<void> {
  for (const worm of Object.keys(WORMS))
    t.equal(await machine.do(`systemctl is-active worm-${worm}`), 'active', `worm-${worm} is at work`)
}

/** Whether clients are served over both families, and root reaches the mirror by its name. */
export async function works(t: Test, machine: Machine, when: string): Promise<void> {
  for (const host of ['198.18.0.1', '[2001:db8:18::1]'])
    t.equal(
      (await machine.run(`ip netns exec client curl -sf --max-time 60 -o /dev/null http://${host}/`)).status,
      0,
      `a client is served at ${host} ${when}`,
    )
  await until(
    machine,
    `the mirror is reached ${when}`,
    'curl -sf --max-time 60 -o /dev/null http://mirror.example.org/debian/Release',
  )
}

/** A client that takes the large file of the web server slowly, until it is told to finish. */
export async function startTransfer(machine: Machine): Promise<() => Promise<string>> {
  const folder = await machine.do(`folder=$(mktemp -d)
    setsid ip netns exec client python3 /opt/guest/transfer.py 198.18.0.1 $folder </dev/null >$folder/out 2>&1 &
    echo $folder`)
  return async () => {
    if ((await machine.run(`[ -e ${folder}/bytes ]`)).status === 0)
      throw new Error('the transfer has ended by itself')
    await machine.do(`touch ${folder}/finish`)
    await until(machine, 'the transfer ends', `[ -e ${folder}/bytes ] || { cat ${folder}/out; false; }`)
    return machine.do(`cat ${folder}/bytes`)
  }
}

/** The bytes of the large file: build-image. */
export const LARGE = '20000000'
