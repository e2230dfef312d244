/** The block log of a running service: under a flood, on disks that fail, and on standard output. */
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createTopology, type Topology, VICTIM } from '../lab/topology.js'
import { connect, sendUdp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { eventually, kernelCount, pause, Service } from './service.js'

/** Nothing but the flood is blocked while it is counted. */
const QUIET = `infrastructure: { dns: [], ntp: [] }
mirrors: { discover: false }
canary: { interval: 1h }
`
const infected = canSwitchUsers() ? { user: 'www-data' } : {}
/** docs/log.md: what one user can have written, at once and a second, and how long a line may be. */
const LINES = { atOnce: 3 * 128, perSecond: 2 / 4, bytes: 4096 }
const MIB = 1024 * 1024

type Line = Record<string, unknown>

async function guarded(t: Test, settings: string): Promise<[Topology, Service]> {
  const lab = await createTopology()
  const service = await Service.start(lab.web, settings + QUIET)
  t.teardown(async () => {
    await lab.close()
    await service.remove()
  })
  await canaryIsOver(service)
  return [lab, service]
}

/** Its connection, a second after the start, must not be one of those that meet a full queue. */
const canaryIsOver = (service: Service) =>
  eventually('the canary was judged', async () => (await service.metric('packets_total', '"canary"')) > 0)

/** One scrape, as `name{labels}` -> value. */
async function scrape(service: Service): Promise<Map<string, number>> {
  const lines = (await service.metrics())
    .split('\n')
    .filter((line) => line.startsWith('checkvalve_') || line.startsWith('process_'))
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  )
}

/** Blocks of one scrape: as verdicts, and as the log counts them. */
function blocksIn(metrics: Map<string, number>): { judged: number; logged: number; dropped: number } {
  const sum = (wanted: (name: string) => boolean) =>
    [...metrics].reduce((total, [name, value]) => total + (wanted(name) ? value : 0), 0)
  const log = (what: string) => metrics.get(`checkvalve_log_${what}_total`)!
  return {
    judged: sum(
      (name) =>
        /^checkvalve_packets_total.*verdict="(would-)?block"/.test(name) && !name.includes('"canary"'),
    ),
    logged: log('events') + log('summed') + log('suppressed'),
    dropped: log('dropped'),
  }
}

/** All lines, in those files of the log that were moved away as well. */
const linesOf = (service: Service): Line[] =>
  readdirSync(service.folder)
    .filter((name) => name.startsWith('blocks.json'))
    .flatMap((name) => readFileSync(join(service.folder, name), 'utf8').split('\n').filter(Boolean))
    .map((line) => JSON.parse(line) as Line)

const sumOf = (lines: readonly Line[]) =>
  lines.reduce((sum, line) => sum + (line['checkvalve.repeat'] as number), 0)

/** Lets a flood loose, and looks after the service meanwhile. @returns datagrams that were sent, and the most memory it had */
async function flood(t: Test, lab: Topology, service: Service, count: number, sockets: number) {
  const sender = lab.web.spawn([compile('scatter'), `${count}`, `${sockets}`], infected)
  let memory = 0
  for (let turn = 0; sender.running; turn++) {
    const metrics = await scrape(service)
    const { judged, logged } = blocksIn(metrics)
    if (judged !== logged) t.equal(logged, judged, 'in each scrape the log has all blocks')
    memory = Math.max(memory, metrics.get('process_resident_memory_bytes')!)
    rotate(service, turn)
    await pause(300)
  }
  const { sent } = await sender.result('sent')
  return { sent: sent as number, memory }
}

/** Moves the log away, as programs do that rotate logs: by turns with a signal, with a new file, and with neither. */
function rotate({ folder, program }: Service, turn: number): void {
  const path = join(folder, 'blocks.json')
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return
  renameSync(path, `${path}.${turn}`)
  if (turn % 3 === 0) program.kill('SIGUSR2')
  if (turn % 3 === 1) writeFileSync(path, '')
}

t.jobs = 2

t.test(
  'half a million random destinations: every block is in the sum, memory and lines are bounded, nobody is hidden',
  async (t) => {
    const [lab, service] = await guarded(t, 'mode: enforce\n')
    const before = (await scrape(service)).get('process_resident_memory_bytes')!
    const began = Date.now()
    const flooding = flood(t, lab, service, 500_000, 32)
    await eventually('the flood is on', async () => blocksIn(await scrape(service)).judged > 20_000)
    if (canSwitchUsers()) await sendUdp(lab.web, VICTIM.v4, 4242, 1, { user: 'nobody' })
    const { sent, memory } = await flooding
    t.equal(sent, 500_000)
    t.ok(memory - before < 64 * MIB, `${((memory - before) / MIB).toFixed(1)} MiB more`)

    await eventually('all that waited is judged', async () => (await service.metric('queue_length')) === 0)
    const unread = await service.metric('kernel_packets_total', 'path="fallback_drop"')
    const { judged, logged, dropped } = blocksIn(await scrape(service))
    const others = canSwitchUsers() ? 1 : 0
    t.equal(judged + unread, sent + others, `${judged} judged + ${unread} left to the kernel`)
    t.same({ logged, dropped }, { logged: judged, dropped: 0 })

    t.equal(await service.stop(), 0)
    const lines = linesOf(service)
    t.equal(sumOf(lines), judged, 'what the lines stand for')
    const seconds = (Date.now() - began) / 1000
    const bound = LINES.atOnce + LINES.perSecond * seconds
    t.ok(lines.length <= bound, `${lines.length} lines in ${seconds.toFixed(0)} s`)
    const longest = Math.max(...lines.map((line) => JSON.stringify(line).length))
    t.ok(longest < LINES.bytes, `${longest} bytes the longest of them`)
    if (!canSwitchUsers()) return t.comment('left out: another user (only one exists in this namespace)')
    const own = lines.filter((line) => line['user.name'] === 'nobody')
    t.match(own, [{ 'destination.ip': VICTIM.v4, 'destination.port': 4242, 'checkvalve.repeat': 1 }])
  },
)

t.test('a flood that fills the queue: what was judged is in the log, the rest is the kernel’s', async (t) => {
  const [lab, service] = await guarded(t, 'mode: enforce\nqueue: { maxLength: 1024 }\n')
  const flooding = flood(t, lab, service, 100_000, 400)
  await eventually('the flood is on', async () => blocksIn(await scrape(service)).judged > 1000)
  // However fast it is: for a moment it judges nothing.
  service.program.kill('SIGSTOP')
  await eventually('the queue is full', async () => (await kernelCount(lab.web, 'fallback_drop')) > 1000)
  service.program.kill('SIGCONT')
  const { sent } = await flooding
  await eventually('all that waited is judged', async () => (await service.metric('queue_length')) === 0)
  const unread = await service.metric('kernel_packets_total', 'path="fallback_drop"')
  const { judged, logged } = blocksIn(await scrape(service))
  t.ok(unread > 1000, 'the queue was full')
  t.equal(judged + unread, sent, `${judged} judged + ${unread} left to the kernel`)
  t.equal(logged, judged)
  await service.stop()
  t.equal(sumOf(linesOf(service)), judged)
})

t.test('in mode observe the sum is as exact', async (t) => {
  const [lab, service] = await guarded(t, 'mode: observe\n')
  const { sent } = await flood(t, lab, service, 20_000, 16)
  await eventually('all that waited is judged', async () => (await service.metric('queue_length')) === 0)
  const { judged, logged } = blocksIn(await scrape(service))
  t.equal(judged, sent)
  t.equal(logged, judged)
  await service.stop()
  const lines = linesOf(service)
  t.equal(sumOf(lines), judged)
  t.ok(lines.every((line) => line['event.action'] === 'would-block'))
})

t.test('SIGTERM amid a flood: what was blocked until then is in the lines', async (t) => {
  const [lab, service] = await guarded(t, 'mode: enforce\nonStop: keep\n')
  const flooding = lab.web.spawn([compile('scatter'), '50000000', '32'], infected)
  await eventually('the flood is on', async () => blocksIn(await scrape(service)).judged > 20_000)
  t.equal(await service.stop(), 0)
  t.ok(flooding.running, 'which goes on')
  flooding.kill('SIGKILL')
  const blocked = await kernelCount(lab.web, 'blocked')
  // The kernel's count has the canary, too.
  t.equal(sumOf(linesOf(service)) + 1, blocked)
})

t.test('SIGUSR2 makes the new file at once, and not only when there is a line for it', async (t) => {
  const [lab, service] = await guarded(t, 'mode: enforce\n')
  const path = join(service.folder, 'blocks.json')
  await connect(lab.web, VICTIM.v4, 81)
  await eventually('the block is in the log', async () => service.log().length === 1)
  renameSync(path, `${path}.1`)
  service.program.kill('SIGUSR2')
  await eventually(
    'the new file is there',
    async () => statSync(path, { throwIfNoEntry: false }) !== undefined,
  )
  t.same(service.log(), [])
  await connect(lab.web, VICTIM.v4, 82)
  await eventually('the next block is in it', async () => service.log().length === 1)
  t.equal(await service.stop(), 0)
  t.equal(sumOf(linesOf(service)), 2)
})

/** A service whose log is on a small disk of its own, which only its namespace sees. */
async function onOwnDisk(t: Test) {
  const lab = await createTopology()
  const service = Service.prepare(lab.web, `mode: enforce\n${QUIET}`)
  t.teardown(async () => {
    await lab.close()
    await service.remove()
  })
  const log = join(service.folder, 'log')
  const sh = async (script: string) => (await lab.web.run(['sh', '-ec', script])).stdout
  await sh(`mkdir ${log}; mount -t tmpfs -o size=64k disk ${log}`)
  await service.launch(`log.destination=${log}/blocks.json`)
  let port = 1000
  /** Blocks of so many kinds; a verdict that waited for the disk would be none. */
  const block = async (count = 1) => {
    for (const end = port + count; port < end; port++)
      t.equal((await connect(lab.web, VICTIM.v4, port)).outcome, 'EHOSTUNREACH')
  }
  const hears = (pattern: RegExp) =>
    service.program.until(() => service.program.stderr.split('\n').find((line) => pattern.test(line)))
  const lines = async () =>
    (await sh(`cat ${log}/blocks.json`))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line)
  const isTold = (port: number) =>
    eventually(`port ${port} is in the log`, async () =>
      (await lines().catch(() => [])).some((line) => line['destination.port'] === port),
    )
  return { service, log, sh, block, hears, lines, isTold, port: () => port - 1 }
}

t.test(
  'a full disk: verdicts go on, the operator is told what to do, and with room again no line is missing',
  async (t) => {
    const { service, log, sh, block, hears, lines, isTold, port } = await onOwnDisk(t)
    await block(3)
    await isTold(port())
    await sh(`cat /dev/zero > ${log}/filler || true`)
    await block(10)
    t.match(await hears(/cannot be written/), new RegExp(`ENOSPC.*make room there \\(df -h ${log}\\)`))
    await block(10)
    await sh(`rm ${log}/filler`)
    t.match(await hears(/is written again/), /no line is lost/)
    await isTold(port())
    t.equal(service.program.stderr.split('cannot be written').length, 2, 'told once')
    const { judged, dropped } = blocksIn(await scrape(service))
    t.equal(dropped, 0)
    await service.stop()
    t.equal(sumOf(await lines()), judged)
  },
)

t.test('a folder that vanished is made anew; a disk that has become read-only is waited for', async (t) => {
  const { service, log, sh, block, hears, lines, isTold, port } = await onOwnDisk(t)
  await block()
  await isTold(port())
  const before = await lines()
  // It cannot be made read-only while somebody writes there: so the file goes first, and another disk comes.
  await sh(`rm ${log}/blocks.json; mount -t tmpfs disk ${log}; mount -o remount,bind,ro ${log}`)
  await block(2)
  t.match(await hears(/cannot be written/), /EROFS.*mount -o remount,rw/)
  await sh(`mount -o remount,bind,rw ${log}`)
  await hears(/is written again: no line is lost/)
  await isTold(port())
  before.push(...(await lines()))
  await sh(`umount -l ${log}; umount ${log}; rmdir ${log}`)
  await block()
  await isTold(port())
  t.equal(await sh(`stat -c %a ${log}/blocks.json`), '640\n')
  const { judged } = blocksIn(await scrape(service))
  await service.stop()
  t.equal(sumOf([...before, ...(await lines())]), judged)
})

t.test(
  'on standard output there are whole lines of blocks, nothing else, and none is missing at the end',
  async (t) => {
    const lab = await createTopology()
    const service = Service.prepare(lab.web, `mode: enforce\n${QUIET}`)
    t.teardown(async () => {
      await lab.close()
      await service.remove()
    })
    await service.launch('log.destination=stdout')
    const { sent } = await flood(t, lab, service, 20_000, 16)
    await eventually('all that waited is judged', async () => (await service.metric('queue_length')) === 0)
    t.equal(blocksIn(await scrape(service)).judged, sent)
    t.equal(await service.stop(), 0)
    const lines = service.program.stdout.split('\n').filter(Boolean)
    t.equal(lines.length, service.program.results.length, 'each line is an object')
    t.ok(service.program.results.every((line) => line['event.action'] === 'block'))
    t.equal(sumOf(service.program.results), sent)
  },
)
