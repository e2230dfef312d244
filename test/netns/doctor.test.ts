import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Finding } from '../../src/commands/doctor/finding.js'
import { Namespace } from '../lab/namespace.js'
import { canSwitchUsers } from '../lab/users.js'
import { NODE, rulesOf, Service } from './service.js'

const HOLD = fileURLToPath(new URL('./programs/hold.js', import.meta.url))
const SETTINGS = 'mode: enforce\ninfrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }\n'

async function prepared(t: Test, settings = ''): Promise<[Namespace, Service]> {
  const place = await Namespace.create('web')
  const service = Service.prepare(place, SETTINGS + settings)
  t.teardown(async () => {
    await place.close()
    await service.remove()
  })
  return [place, service]
}

/** Runs the command doctor. @returns its findings */
async function examined(service: Service): Promise<readonly Finding[]> {
  const { stdout, stderr } = await service.command('doctor', '--json')
  if (stdout === '') throw new Error(stderr)
  return (JSON.parse(stdout) as { findings: Finding[] }).findings
}

/** Runs the command doctor. @returns the findings of one area that are not ok */
const problems = async (service: Service, area: string) =>
  (await examined(service))
    .filter((each) => each.area === area && each.grade !== 'ok')
    .map(({ grade, what }) => `${grade} ${what}`)

/** Loads rules of another program: lines of a chain. */
const load = (place: Namespace, hook: string, ...lines: string[]) =>
  place.run(['nft', '-f', '-'], {
    input: `table inet other {\n  chain theirs {\n    type filter hook ${hook}; policy accept\n${lines.join('\n')}\n  }\n}\n`,
  })

t.jobs = 3

t.test(
  'on a host with harmless rules of another program doctor finds no problem, before the start and after it',
  async (t) => {
    const [place, service] = await prepared(t)
    // These rules of another program do not disturb the service.
    await load(place, 'output priority 0', 'meta mark set meta mark | 0x10', 'tcp dport 25 reject')
    const rules = await rulesOf(place)
    for (const running of [false, true]) {
      if (running) await service.launch()
      const found = await examined(service)
      for (const area of ['firewall', 'queue', 'routing', 'metrics', 'configuration'])
        t.same(
          found.filter((each) => each.area === area && each.grade !== 'ok'),
          [],
          `${area}, running: ${running}`,
        )
      t.ok(found.some(({ area, grade }) => area === 'service' && grade === (running ? 'ok' : 'look')))
      if (!running) t.equal(await rulesOf(place), rules, 'doctor changes nothing')
    }
    t.ok((await examined(service)).some(({ what }) => what === '100 to 102 are served by the service'))
  },
)

t.test(
  'doctor finds rules of other programs that change the marks, in nftables and both kinds of iptables',
  async (t) => {
    const [place, service] = await prepared(t)
    await load(place, 'output priority 0', 'meta mark set 0x1', 'ct mark set meta mark')
    await place.run(['ip6tables', '-t', 'mangle', '-A', 'OUTPUT', '-j', 'CONNMARK', '--save-mark'])
    await place.run(['iptables-legacy', '-t', 'mangle', '-A', 'PREROUTING', '-j', 'MARK', '--set-mark', '1'])
    t.same(await problems(service, 'firewall'), [
      'fail inet other theirs (output, priority 0) changes our bits of packet marks between our chains',
      'fail inet other theirs (output, priority 0) sets our bits of connection marks',
      'look ip mangle PREROUTING (prerouting, priority -150) changes our bits of packet marks',
      'fail ip6 mangle OUTPUT (output, priority -150) sets our bits of connection marks',
    ])
  },
)

t.test('doctor finds rules of other programs that queue, drop or exempt packets from tracking', async (t) => {
  const [place, service] = await prepared(t)
  await load(place, 'prerouting priority raw', 'udp dport 53 notrack')
  await place.run([
    'iptables',
    '-A',
    'OUTPUT',
    '-p',
    'tcp',
    '--dport',
    '1',
    '-j',
    'NFQUEUE',
    '--queue-num',
    '7',
  ])
  await place.run(['iptables', '-A', 'INPUT', '-j', 'NFQUEUE', '--queue-num', '101', '--queue-bypass'])
  await place.run(['iptables', '-P', 'OUTPUT', 'DROP'])
  await place.run(['iptables', '-N', 'DOCKER-USER'])
  t.same(await problems(service, 'firewall'), [
    'note inet other theirs (prerouting, priority -300) takes traffic out of connection tracking (notrack)',
    'fail ip filter INPUT (input, priority 0) sends packets to queue 101, which is ours',
    'look ip filter OUTPUT (output, priority 0) sends outgoing packets to queue 7',
    'note ip filter OUTPUT drops what it does not allow',
    'note Docker has rules',
  ])
})

t.test('doctor finds a rule before the queue rule in the chain of iptables', async (t) => {
  const [place, service] = await prepared(t, 'firewall: { queue: xtables }\n')
  await service.launch()
  t.same(await problems(service, 'firewall'), [])
  await place.run(['iptables', '-I', 'OUTPUT', '1', '-p', 'tcp', '--dport', '1', '-j', 'ACCEPT'])
  t.match(await problems(service, 'firewall'), [
    /^look ip filter OUTPUT has a rule before the queue: -A OUTPUT .* ACCEPT$/,
  ])
})

t.test('doctor finds routing rules that compare bits of the marks', async (t) => {
  const [place, service] = await prepared(t)
  await place.ip('rule add fwmark 0x5 lookup 100', 'rule add fwmark 0x1/0xff lookup 100')
  await place.run(['ip', '-6', 'rule', 'add', 'fwmark', '0x1000000/0x1000000', 'lookup', '100'])
  t.match(await problems(service, 'routing'), [
    /^look rule \d+ compares bits of marks that are ours \(0x3f000000\)$/,
    /^look rule \d+ compares bits of marks that are ours \(0x1000000\)$/,
  ])
})

t.test('doctor names the program that has one of the queues, before the service starts', async (t) => {
  const [place, service] = await prepared(t)
  const holder = place.spawn([...NODE, HOLD, '101'])
  await holder.result('listening')
  const [found] = await problems(service, 'queue')
  t.equal(found, `fail queue 101 is taken by ${process.execPath} (pid ${holder.pid})`)
})

t.test(
  'doctor finds an address for metrics that another program has, or that this host does not have',
  async (t) => {
    const [place, service] = await prepared(t)
    const other = place.spawn([
      ...NODE,
      '-e',
      "require('net').createServer().listen(17671, '127.0.0.1', () => console.log('{}'))",
    ])
    await other.until(() => other.stdout || undefined)
    t.same(await problems(service, 'metrics'), ['fail 127.0.0.1:17671 is taken by another program'])
    service.configure(`${SETTINGS}metrics: { listen: "198.51.100.9:17671" }\n`)
    t.same(await problems(service, 'metrics'), ['fail 198.51.100.9:17671 is no address of this host'])
  },
)

t.test('doctor finds a file that is no socket at the path of the control socket', async (t) => {
  const [, service] = await prepared(t)
  t.same(await problems(service, 'control'), [])
  writeFileSync(`${service.folder}/control.sock`, '')
  t.match(await problems(service, 'control'), [/^fail .*control\.sock is no socket$/])
})

t.test('doctor finds a full disk and a read-only disk under the log and the state', async (t) => {
  const [place, service] = await prepared(t)
  const disk = join(service.folder, 'disk')
  mkdirSync(disk)
  await place.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'lab', disk])
  // The file is written here because `configure` sets folders of its own.
  writeFileSync(
    service.config,
    `${SETTINGS}log: { destination: ${disk}/blocks.json }\nstate: { directory: ${disk} }\ncontrol: { socket: ${service.folder}/control.sock }\n`,
  )
  t.match(await problems(service, 'state'), [/^look the disk of .* has \d+ [KM]iB left$/])
  await place.run(['sh', '-c', 'cat /dev/zero > "$1" 2>/dev/null || true', 'fill', `${disk}/fill`])
  t.match(await problems(service, 'state'), [/^fail the disk of .* is full$/])
  t.match(await problems(service, 'log'), [/^fail the disk of .* is full$/])
  await place.run(['mount', '-o', 'remount,bind,ro', disk])
  t.match(await problems(service, 'log'), [/^fail .* is on a file system that is read-only$/])
})

t.test('doctor reports a missing cgroup2 hierarchy, as a failure when rules name units', async (t) => {
  const [place, service] = await prepared(t)
  const unmount = `for path in $(awk '/ - cgroup2 /{ print $5 }' /proc/self/mountinfo | sort -r); do umount -l "$path" || exit 1; done`
  const { status } = await place.run(['sh', '-c', unmount], { allowFailure: true })
  if (status !== 0) return t.comment('left out: mounts of another user namespace cannot be taken away')
  t.match(await problems(service, 'kernel'), ['look no cgroup2 hierarchy is mounted'])
  service.configure(`${SETTINGS}allow: [{ name: u, to: [192.0.2.7], units: [nginx.service] }]\n`)
  t.match(await problems(service, 'kernel'), ['fail no cgroup2 hierarchy is mounted'])
})

t.test('doctor finds a resolver that does not answer, and accepts one that answers', async (t) => {
  const [place, service] = await prepared(t)
  await place.file('/etc/resolv.conf', 'nameserver 127.0.0.1\n')
  service.configure('mode: enforce\ninfrastructure: { dns: [127.0.0.1], ntp: [192.0.2.123] }\n')
  t.match(await problems(service, 'resolvers'), [/^look 127\.0\.0\.1 does not answer/])
  const server = place.spawn([
    ...NODE,
    '-e',
    `const socket = require('dgram').createSocket('udp4')
socket.on('message', (query, from) => {
  const answer = Buffer.from(query)
  answer.writeUInt16BE(0x8183, 2)
  socket.send(answer, from.port, from.address)
})
socket.bind(53, '127.0.0.1', () => console.log('{"listening":true}'))`,
  ])
  await server.result('listening')
  t.same(await problems(service, 'resolvers'), [], 'an answer that the name does not exist is an answer')
})

t.test('doctor works for an ordinary user, and names what it could not check', async (t) => {
  if (!canSwitchUsers()) return t.comment('left out: only one user exists here')
  const [place, service] = await prepared(t)
  await place.run(['chmod', '-R', 'a+rX', service.folder])
  const { stdout, stderr } = await service.commandAs('nobody', 'doctor')
  t.equal(stderr, '')
  t.match(stdout, /^\? {5}privileges: this command lacks CAP_NET_ADMIN$/m)
  t.match(stdout, /^\? {5}queue: who serves the queues$/m)
  t.match(stdout, /^ok {4}routing: /m)
  t.match(stdout, /\n\d+ to look at; \d+ could not be checked\n$/)
})

t.test('the output of doctor fits 80 columns, and its status is 1 when there is a problem', async (t) => {
  const [, service] = await prepared(t)
  const { stdout, status } = await service.command('doctor')
  t.equal(status, 1)
  const long = stdout.split('\n').filter((line) => line.length > 80)
  t.same(long, [])
})

t.test(
  'doctor does not report a service that does not answer, or whose socket may not be opened, as stopped',
  async (t) => {
    if (!canSwitchUsers()) return t.comment('left out: only one user exists here')
    const [place, service] = await prepared(t)
    await service.launch()
    await place.run(['chmod', '-R', 'a+rX', service.folder])
    const hidden = await service.commandAs('nobody', 'doctor')
    t.match(hidden.stdout, /^\? {5}service: .*may not be opened/m)
    t.match(hidden.stdout, /^ok {4}metrics: .* says that it is ready$/m)
    t.notMatch(hidden.stdout, /is free|taken by|does not run/)
    service.program.kill('SIGSTOP')
    const mute = await service.command('doctor')
    service.program.kill('SIGCONT')
    t.match(mute.stdout, /^LOOK {2}service: does not answer on /m)
    t.match(mute.stdout, /^ok {4}queue: 100 to 102 are served by the service$/m)
    t.notMatch(mute.stdout, /is free|taken by|does not run/)
  },
)
