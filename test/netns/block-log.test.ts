/** Tests the block log of a running service: in a flood, on disks that fail, and on standard output. */
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createTopology, type Topology, VICTIM } from '../lab/topology.js'
import { connect, sendUdp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { compile } from './programs.js'
import { eventually, kernelCount, pause, Service } from './service.js'

/** Settings by which no packet but those of the flood is blocked. */
const QUIET = `infrastructure: { dns: [], ntp: [] }
mirrors: { discover: false }
canary: { interval: 1h }
`
const infected = canSwitchUsers() ? { user: 'www-data' } : {}
/** The limits of docs/log.md: lines of one user at once and a second, and bytes of a line. */
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

/**
 * Waits for the canary of both families, a second after the start, so that its packets do not meet a full
 * queue.
 */
const canaryIsOver = (service: Service) =>
  eventually('the canary was judged', async () => (await service.metric('packets_total', '"canary"')) > 1)

/** Reads the metrics once. @returns values by `name{labels}` */
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

/** Returns the blocks in one set of metrics: as verdicts, and as the block log counts them. */
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

/** Packets that the kernel has refused again by itself. */
const repeatedIn = (metrics: Map<string, number>) =>
  metrics.get('checkvalve_kernel_packets_total{path="repeated"}') ?? 0

/** Returns all lines of the block log, with those of files that were moved away. */
const linesOf = (service: Service): Line[] =>
  readdirSync(service.folder)
    .filter((name) => name.startsWith('blocks.json'))
    .flatMap((name) => readFileSync(join(service.folder, name), 'utf8').split('\n').filter(Boolean))
    .map((line) => JSON.parse(line) as Line)

const sumOf = (lines: readonly Line[]) =>
  lines.reduce((sum, line) => sum + (line['checkvalve.repeat'] as number), 0)

/**
 * Starts a flood, and checks the metrics of the service meanwhile.
 * @returns datagrams that were sent, and the highest resident memory of the service in bytes
 */
async function flood(t: Test, lab: Topology, service: Service, count: number, sockets: number) {
  const sender = lab.web.spawn([compile('scatter'), `${count}`, `${sockets}`], infected)
  let memory = 0
  for (let turn = 0; sender.running; turn++) {
    const metrics = await scrape(service)
    const { judged, logged } = blocksIn(metrics)
    if (judged !== logged) t.equal(logged, judged, 'the metrics count as many logged blocks as verdicts')
    memory = Math.max(memory, metrics.get('process_resident_memory_bytes')!)
    rotate(service, turn)
    await pause(300)
  }
  const { sent } = await sender.result('sent')
  return { sent: sent as number, memory }
}

/** Moves the log away as logrotate does: in turn with a signal, with a new file, and with neither. */
function rotate({ folder, program }: Service, turn: number): void {
  const path = join(folder, 'blocks.json')
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return
  renameSync(path, `${path}.${turn}`)
  if (turn % 3 === 0) program.kill('SIGUSR2')
  if (turn % 3 === 1) writeFileSync(path, '')
}

t.jobs = 2

t.test(
  'a flood to 500,000 destinations is counted whole in bounded memory and lines, and hides no other user',
  async (t) => {
    const [lab, service] = await guarded(t, 'mode: enforce\n')
    const before = (await scrape(service)).get('process_resident_memory_bytes')!
    const began = Date.now()
    const flooding = flood(t, lab, service, 500_000, 32)
    await eventually('the flood has begun', async () => blocksIn(await scrape(service)).judged > 20_000)
    if (canSwitchUsers()) await sendUdp(lab.web, VICTIM.v4, 4242, 1, { user: 'nobody' })
    const { sent, memory } = await flooding
    t.equal(sent, 500_000)
    t.ok(memory - before < 64 * MIB, `${((memory - before) / MIB).toFixed(1)} MiB more`)

    await eventually(
      'all queued packets are judged',
      async () => (await service.metric('queue_length')) === 0,
    )
    const unread = await service.metric('kernel_packets_total', 'path="fallback_drop"')
    const metrics = await scrape(service)
    const { judged, logged, dropped } = blocksIn(metrics)
    const repeated = repeatedIn(metrics)
    const others = canSwitchUsers() ? 1 : 0
    const text = `${judged} judged + ${repeated} refused again + ${unread} left to the kernel`
    t.equal(judged + repeated + unread, sent + others, text)
    t.same({ logged, dropped }, { logged: judged, dropped: 0 })

    t.equal(await service.stop(), 0)
    const lines = linesOf(service)
    t.equal(sumOf(lines), judged + repeated, 'the lines of the log count every block')
    const seconds = (Date.now() - began) / 1000
    const bound = LINES.atOnce + LINES.perSecond * seconds
    t.ok(lines.length <= bound, `${lines.length} lines in ${seconds.toFixed(0)} s`)
    const longest = Math.max(...lines.map((line) => JSON.stringify(line).length))
    t.ok(longest < LINES.bytes, `the longest line has ${longest} bytes`)
    if (!canSwitchUsers()) return t.comment('left out: another user (only one exists in this namespace)')
    const own = lines.filter((line) => line['user.name'] === 'nobody')
    t.match(own, [{ 'destination.ip': VICTIM.v4, 'destination.port': 4242, 'checkvalve.repeat': 1 }])
  },
)

t.test(
  'in a flood that fills the queue, the log has every judged packet, and the kernel counts the others',
  async (t) => {
    const [lab, service] = await guarded(t, 'mode: enforce\nqueue: { maxLength: 1024 }\n')
    const flooding = flood(t, lab, service, 100_000, 400)
    await eventually('the flood has begun', async () => blocksIn(await scrape(service)).judged > 1000)
    // A stopped service judges nothing, so that the queue fills on a fast machine too.
    service.program.kill('SIGSTOP')
    await eventually('the queue is full', async () => (await kernelCount(lab.web, 'fallback_drop')) > 1000)
    service.program.kill('SIGCONT')
    const { sent } = await flooding
    await eventually(
      'all queued packets are judged',
      async () => (await service.metric('queue_length')) === 0,
    )
    const unread = await service.metric('kernel_packets_total', 'path="fallback_drop"')
    const metrics = await scrape(service)
    const { judged, logged } = blocksIn(metrics)
    const repeated = repeatedIn(metrics)
    t.ok(unread > 1000, 'the queue was full')
    t.equal(judged + repeated + unread, sent, `${judged} judged + ${unread} left to the kernel`)
    t.equal(logged, judged)
    await service.stop()
    t.equal(sumOf(linesOf(service)), judged + repeated)
  },
)

t.test('in mode observe the block log counts every packet of a flood', async (t) => {
  const [lab, service] = await guarded(t, 'mode: observe\n')
  const { sent } = await flood(t, lab, service, 20_000, 16)
  await eventually('all queued packets are judged', async () => (await service.metric('queue_length')) === 0)
  const { judged, logged } = blocksIn(await scrape(service))
  t.equal(judged, sent)
  t.equal(logged, judged)
  await service.stop()
  const lines = linesOf(service)
  t.equal(sumOf(lines), judged)
  t.ok(lines.every((line) => /^(would-block|alert|alert-ended)$/.test(`${line['event.action']}`)))
})

t.test('a service that gets SIGTERM in a flood has logged every packet that it blocked', async (t) => {
  const [lab, service] = await guarded(t, 'mode: enforce\nonStop: keep\n')
  const flooding = lab.web.spawn([compile('scatter'), '50000000', '32'], infected)
  await eventually('the flood has begun', async () => blocksIn(await scrape(service)).judged > 20_000)
  t.equal(await service.stop(), 0)
  t.ok(flooding.running, 'the flood continues')
  flooding.kill('SIGKILL')
  const blocked = await kernelCount(lab.web, 'blocked')
  // The kernel also counts the canary, of both families.
  const judged = linesOf(service).filter((line) => line['event.reason'] !== 'repeated')
  t.equal(sumOf(judged) + 2, blocked)
})

t.test('on SIGUSR2 the service makes a new log file at once, before there is a line for it', async (t) => {
  const [lab, service] = await guarded(t, 'mode: enforce\n')
  const path = join(service.folder, 'blocks.json')
  await connect(lab.web, VICTIM.v4, 81)
  await eventually('the block is in the log', async () => service.log().length === 1)
  renameSync(path, `${path}.1`)
  service.program.kill('SIGUSR2')
  await eventually('the new file exists', async () => statSync(path, { throwIfNoEntry: false }) !== undefined)
  t.same(service.log(), [])
  await connect(lab.web, VICTIM.v4, 82)
  await eventually('the next block is in the new file', async () => service.log().length === 1)
  t.equal(await service.stop(), 0)
  t.equal(sumOf(linesOf(service)), 2)
})

/** Starts a service whose log is on a small disk of its own, which exists only in its namespace. */
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
  /** Makes `count` blocks, each of another port. A verdict that waited for the disk would not come. */
  const block = async (count = 1) => {
    for (const end = port + count; port < end; port++)
      t.equal((await connect(lab.web, VICTIM.v4, port)).outcome, 'ECONNREFUSED')
  }
  const logged = (pattern: RegExp) =>
    service.program.until(() => service.program.stderr.split('\n').find((line) => pattern.test(line)))
  const lines = async () =>
    (await sh(`cat ${log}/blocks.json`))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line)
  const isInLog = (port: number) =>
    eventually(`port ${port} is in the log`, async () =>
      (await lines().catch(() => [])).some((line) => line['destination.port'] === port),
    )
  return { service, log, sh, block, logged, lines, isInLog, port: () => port - 1 }
}

t.test(
  'on a full disk verdicts continue and the service logs advice; with room again, no line is missing',
  async (t) => {
    const { service, log, sh, block, logged, lines, isInLog, port } = await onOwnDisk(t)
    await block(3)
    await isInLog(port())
    await sh(`cat /dev/zero > ${log}/filler || true`)
    await block(10)
    t.match(await logged(/cannot be written/), new RegExp(`ENOSPC.*make room there \\(df -h ${log}\\)`))
    await block(10)
    await sh(`rm ${log}/filler`)
    t.match(await logged(/is written again/), /no line is lost/)
    await isInLog(port())
    t.equal(service.program.stderr.split('cannot be written').length, 2, 'the error is logged once')
    const { judged, dropped } = blocksIn(await scrape(service))
    t.equal(dropped, 0)
    await service.stop()
    t.equal(sumOf(await lines()), judged)
  },
)

t.test(
  'a log folder that was removed is made again, and no line is lost while the disk is read-only',
  async (t) => {
    const { service, log, sh, block, logged, lines, isInLog, port } = await onOwnDisk(t)
    await block()
    await isInLog(port())
    const before = await lines()
    // The disk cannot become read-only while the log is open, so a second disk is mounted over it.
    await sh(`rm ${log}/blocks.json; mount -t tmpfs disk ${log}; mount -o remount,bind,ro ${log}`)
    await block(2)
    t.match(await logged(/cannot be written/), /EROFS.*mount -o remount,rw/)
    await sh(`mount -o remount,bind,rw ${log}`)
    await logged(/is written again: no line is lost/)
    await isInLog(port())
    before.push(...(await lines()))
    await sh(`umount -l ${log}; umount ${log}; rmdir ${log}`)
    await block()
    await isInLog(port())
    t.equal(await sh(`stat -c %a ${log}/blocks.json`), '640\n')
    const { judged } = blocksIn(await scrape(service))
    await service.stop()
    t.equal(sumOf([...before, ...(await lines())]), judged)
  },
)

t.test(
  'a block log on standard output has whole lines and nothing else, and every block in them',
  async (t) => {
    const lab = await createTopology()
    const service = Service.prepare(lab.web, `mode: enforce\n${QUIET}`)
    t.teardown(async () => {
      await lab.close()
      await service.remove()
    })
    await service.launch('log.destination=stdout')
    const { sent } = await flood(t, lab, service, 20_000, 16)
    await eventually(
      'all queued packets are judged',
      async () => (await service.metric('queue_length')) === 0,
    )
    const metrics = await scrape(service)
    t.equal(blocksIn(metrics).judged + repeatedIn(metrics), sent)
    t.equal(await service.stop(), 0)
    const lines = service.program.stdout.split('\n').filter(Boolean)
    t.equal(lines.length, service.program.results.length, 'each line is an object')
    t.ok(
      service.program.results.every((line) => /^(block|alert|alert-ended)$/.test(`${line['event.action']}`)),
    )
    t.equal(sumOf(service.program.results), sent)
  },
)
