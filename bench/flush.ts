/**
 * Measures the gap after another program has flushed the whole ruleset (`nft flush ruleset`): milliseconds
 * until no packet leaves unjudged any more, and the packets that left in it. A flood runs all the while, so
 * the service and the programs it starts share the cores with it. `node dist/bench/flush.js [ROUNDS
 * [SECONDS]]`, in a network namespace of its own: `npm run bench -- flush`.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { median } from './lib.js'

const [rounds = 5, seconds = 2] = process.argv.slice(2).map(Number)
const SIZES = [10, 10_000] as const
const PATIENCE_MS = 20_000
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const shell = (commands: string) => execFileSync('sh', ['-ec', commands], { encoding: 'utf8' })

/** Returns a configuration that allows single addresses of 198.19.0.0/16. The flood goes to 198.18.0.0/16. */
function configuration(folder: string, prefixes: number): string {
  const to = Array.from({ length: prefixes }, (_, i) => `198.19.${(i * 2) >> 8}.${(i * 2) & 255}`)
  return `mode: enforce
block: drop
allow: [{ name: many, to: [${to.join(', ')}] }]
log: { destination: ${folder}/blocks.json, level: error }
state: { directory: ${folder} }
control: { socket: ${folder}/control.sock }
mirrors: { discover: false }
`
}

function setUp(): void {
  shell(`ip link set lo up
    ip link add name bench0 type veth peer name bench1
    ip link set bench0 addrgenmode none; ip link set bench1 addrgenmode none
    ip link set bench0 up; ip link set bench1 up
    ip addr add 198.51.100.1/24 dev bench0
    ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:01 dev bench0 nud permanent
    ip route add 198.18.0.0/15 via 198.51.100.2`)
}

/** Returns the packets that have left by the link (proc_net(5)): with the rules loaded there are no more. */
function left(): number {
  const line = /^\s*bench0:(.*)$/m.exec(readFileSync('/proc/self/net/dev', 'utf8'))![1]!
  return Number(line.trim().split(/\s+/)[9])
}

/** Flushes, and watches the link until nothing has left for a second. */
async function flush(): Promise<{ ms: number; packets: number }> {
  const before = left()
  const begin = performance.now()
  const flushed = once(spawn('nft', ['flush', 'ruleset'], { stdio: 'inherit' }), 'exit')
  let [seen, first, last] = [before, begin, begin]
  while (performance.now() - last < 1000) {
    const now = left()
    if (now !== seen) {
      last = performance.now()
      if (seen === before) first = last
      seen = now
    }
    await sleep(1)
    if (performance.now() - begin > PATIENCE_MS) throw new Error('the rules were not put back')
  }
  await flushed
  return { ms: last - first, packets: seen - before }
}

async function measure(prefixes: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-bench-'))
  writeFileSync(`${folder}/checkvalve.yaml`, configuration(folder, prefixes))
  const argv = [file('../bin/checkvalve.js'), 'run', '--config', `${folder}/checkvalve.yaml`]
  const service = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'inherit'] })
  const exited = once(service, 'exit')
  try {
    while (!shell('nft list tables').includes('checkvalve')) {
      if (service.exitCode !== null) throw new Error('checkvalve did not start')
      await sleep(50)
    }
    await sleep(seconds * 1000)
    const figures: { ms: number; packets: number }[] = []
    for (let round = 0; round < rounds; round++) {
      const args = ['198.18.0.0', '16', '9', '1000000000', '3600']
      const flood = spawn(file('../../bench/build/flood'), args, { stdio: 'ignore' })
      await sleep(seconds * 1000)
      figures.push(await flush())
      flood.kill()
      await once(flood, 'exit')
      await sleep(seconds * 500)
    }
    const of = (name: 'ms' | 'packets') => {
      const all = figures.map((each) => each[name])
      return `${median(all).toFixed(0).padStart(7)} ${name} (${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)})`
    }
    console.log(`${`${prefixes} prefixes, in a flood`.padEnd(32)}${of('ms')}${of('packets')}`)
  } finally {
    service.kill()
    await exited
    rmSync(folder, { recursive: true })
  }
}

setUp()
for (const prefixes of SIZES) await measure(prefixes)
process.exit(0)
