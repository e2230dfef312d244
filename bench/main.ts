/**
 * Runs the benchmarks: `node dist/bench/main.js [PART [ROUNDS [SECONDS]]]`, all parts when none is named. Prints
 * tables of medians, and writes bench/results.json, the tables of docs/performance.md, and its pictures.
 */
import { writeDocument } from './document.js'
import { compare, type Part } from './frame.js'
import { machine, versions } from './machine.js'
import { attribution } from './parts/attribution.js'
import { dns } from './parts/dns.js'
import { flood } from './parts/flood.js'
import { flush } from './parts/flush.js'
import { inbound } from './parts/inbound.js'
import { latency } from './parts/latency.js'
import { memory } from './parts/memory.js'
import { scale } from './parts/scale.js'
import { start } from './parts/start.js'
import { verdicts } from './parts/verdicts.js'
import { keepResults } from './results.js'
import { asText } from './tables.js'

const PARTS: readonly Part[] = [
  verdicts,
  latency,
  inbound,
  dns,
  flood,
  scale,
  memory,
  start,
  attribution,
  flush,
]

async function run(part: Part, rounds: number, seconds: number): Promise<void> {
  console.log(`\n${part.name}: ${part.title}`)
  const comparisons = []
  for (const comparison of await part.comparisons()) {
    const compared = await compare(comparison, rounds, seconds)
    console.log(asText(compared))
    comparisons.push(compared)
  }
  const day = new Date().toISOString().slice(0, 10)
  const about = { title: part.title, day, machine: machine(), versions: versions(), rounds, seconds }
  writeDocument(keepResults(part.name, { ...about, comparisons }))
}

const [name = 'all', ...numbers] = process.argv.slice(2)
const chosen = PARTS.filter((part) => name === 'all' || part.name === name)
if (chosen.length === 0) {
  console.error(`no such part: ${name}; there are ${PARTS.map((part) => part.name).join(', ')}`)
  process.exit(2)
}
const [rounds = name === 'all' ? 1 : 5, seconds = name === 'all' ? 1 : 2] = numbers.map(Number)
for (const part of chosen) await run(part, rounds, seconds)
process.exit()
