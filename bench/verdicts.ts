/**
 * Measures verdicts a second and CPU a verdict, against the C reference, under a flood that never lets the
 * queue run empty. The contenders take turns, so that other load on the machine affects all alike; the result
 * is the median of the ratios of each round. It makes a network namespace of its own: `npm run bench`.
 *
 * All contenders work behind the rules of checkvalve in the kernel, and refuse every packet, as in the flood
 * of a worm. The reference has no policy; checkvalve decodes, searches 10,000 prefixes, counts and logs. All
 * figures are taken from outside and in the same way for each: verdicts by the counter of the rule that
 * carries them out, CPU (user and system) by /proc/PID/stat. `node dist/bench/verdicts.js [ROUNDS [SECONDS]]`
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cpuSeconds, median } from './lib.js'

interface Contender {
  readonly name: string
  /**
   * Starts the contender, which judges the packets of QUEUE, or loads rules of its own. SIGTERM must end it.
   */
  readonly argv: readonly string[]
  /** Whether the contender judges packets by now; called until it does. */
  readonly ready: () => boolean
}

interface Figures {
  readonly verdictsPerSecond: number
  /** Microseconds of CPU, user and system. */
  readonly cpuPerVerdict: number
}

const INSIDE = 'in a namespace of its own'
const inside = process.argv.at(-1) === INSIDE
const settings = process.argv.slice(2, inside ? -1 : undefined)
const [rounds = 5, seconds = 2] = settings.slice(0, 2).map(Number)
const QUEUE = 100
/** The mark of a blocked packet (src/core/ruleset/marks.ts). */
const BLOCKED = 0x30000000
const PREFIXES = 10_000
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const C = (name: string) => file(`../../bench/build/${name}`)
const folder = inside ? mkdtempSync(join(tmpdir(), 'checkvalve-bench-')) : ''

const bound = () => /^\s*100\s/m.test(readFileSync('/proc/self/net/netfilter/nfnetlink_queue', 'utf8'))
const judge = [`${QUEUE}`, `${BLOCKED}`, 'repeat'] as const
const contenders: readonly Contender[] = [
  { name: 'reference in C', argv: [C('reference'), ...judge], ready: bound },
  { name: 'node-netfilter-queue', argv: [process.execPath, file('judge.js'), ...judge], ready: bound },
  {
    name: 'checkvalve',
    argv: [process.execPath, file('../bin/checkvalve.js'), 'run', '--config', `${folder}/checkvalve.yaml`],
    ready: bound,
  },
]

const shell = (commands: string) => execFileSync('sh', ['-ec', commands], { encoding: 'utf8' })

/**
 * Returns a configuration that allows 10,000 single addresses of 198.19.0.0/16. The flood goes to
 * 198.18.0.0/16.
 */
function configuration(): string {
  const prefixes = Array.from({ length: PREFIXES }, (_, i) => `198.19.${(i * 2) >> 8}.${(i * 2) & 255}`)
  return `mode: enforce
block: drop
onStop: keep
allow: [{ name: many, to: [${prefixes.join(', ')}] }]
log: { destination: ${folder}/blocks.json, level: error }
state: { directory: ${folder} }
control: { socket: ${folder}/control.sock }
mirrors: { discover: false }
`
}

/** Sets up a link with a permanent neighbour entry, and loads the rules of checkvalve, which stay loaded. */
async function setUp(): Promise<void> {
  shell(`ip link set lo up
    ip link add name bench0 type veth peer name bench1
    ip link set bench0 up; ip link set bench1 up
    ip addr add 198.51.100.1/24 dev bench0
    ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:01 dev bench0 nud permanent
    ip route add 198.18.0.0/15 via 198.51.100.2`)
  writeFileSync(`${folder}/checkvalve.yaml`, configuration())
  const checkvalve = await start(contenders.at(-1)!)
  while (!shell('nft list tables').includes('checkvalve')) await sleep(20)
  await stop(checkvalve)
}

/** Counts packets that the service refused. Packets that found the queue full met the fallback instead. */
function verdictsSoFar(): number {
  return Number(/packets (\d+)/.exec(shell('nft list counter inet checkvalve blocked'))?.[1])
}

async function flood(duration: number): Promise<void> {
  const child = spawn(C('flood'), ['198.18.0.0', '16', '9', '100000000', `${duration}`], { stdio: 'ignore' })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`flood ended with ${code}`)
}

async function start({ name, argv, ready }: Contender): Promise<ChildProcess> {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] })
  for (let waited = 0; !ready(); waited += 20) {
    if (child.exitCode !== null || waited > 10_000) throw new Error(`${name} did not start`)
    await sleep(20)
  }
  return child
}

async function measure(contender: Contender): Promise<Figures> {
  const child = await start(contender)
  try {
    await flood(0.5)
    const before = { verdicts: verdictsSoFar(), cpu: cpuSeconds(child.pid!), time: performance.now() }
    await flood(seconds)
    const elapsed = (performance.now() - before.time) / 1000
    const cpu = cpuSeconds(child.pid!) - before.cpu
    const verdicts = verdictsSoFar() - before.verdicts
    return { verdictsPerSecond: verdicts / elapsed, cpuPerVerdict: (cpu / verdicts) * 1e6 }
  } finally {
    await stop(child)
  }
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM')
  if (child.exitCode === null) await once(child, 'exit')
}

function report(figures: readonly Figures[][]): void {
  const reference = figures[0]!
  for (const [index, { name }] of contenders.entries()) {
    const own = figures[index]!
    const of = (key: keyof Figures) => median(own.map((figure) => figure[key]))
    const ratio = (key: keyof Figures) =>
      median(own.map((figure, round) => figure[key] / reference[round]![key]))
    console.log(
      `${name.padEnd(24)}${of('verdictsPerSecond').toFixed(0).padStart(8)} verdicts/s (x${ratio('verdictsPerSecond').toFixed(2)})` +
        `${of('cpuPerVerdict').toFixed(2).padStart(8)} us of CPU a verdict (x${ratio('cpuPerVerdict').toFixed(2)})`,
    )
  }
}

async function main(): Promise<void> {
  await setUp()
  const figures: Figures[][] = contenders.map(() => [])
  for (let round = 0; round < rounds; round++)
    for (const [index, contender] of contenders.entries()) figures[index]!.push(await measure(contender))
  report(figures)
  rmSync(folder, { recursive: true })
}

/**
 * Runs this program again in a network namespace, so that its rules do not affect the traffic of the host.
 */
async function runInside(): Promise<void> {
  const argv = ['--net', process.execPath, ...process.argv.slice(1), INSIDE]
  const [code] = await once(spawn('unshare', argv, { stdio: 'inherit' }), 'exit')
  process.exitCode = code ?? 1
}

await (inside ? main() : runInside())
