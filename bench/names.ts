/**
 * Measures the cost of many names: a verdict, and an answer that is learned, with 10,000 names of ten
 * addresses each against ten such names. Nanoseconds a call, and the median of the ratios of each round. One
 * rule has all names, as that of the mirrors does. Addresses come in random order, so that caches hold little
 * of a large table.
 */

import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Address, type Family, IPPROTO_TCP, type Prefix } from '../src/core/packet/ip.js'
import { Packet, TCPHDR_SYN } from '../src/core/packet/packet.js'
import type { Sender } from '../src/core/packet/sender.js'
import { assemble, compile, decide, type Policy } from '../src/core/policy/policy.js'
import type { RuleSpec } from '../src/core/policy/rule.js'
import { UsedAddresses } from '../src/core/policy/used-addresses.js'
import type { Asker } from '../src/names/confirmations.js'
import { LearnedAddresses } from '../src/names/learned-addresses.js'
import type { LearnedOptions } from '../src/names/learned-options.js'
import { clients } from '../test/core/clients.js'
import { median } from './lib.js'

/** The state for a number of names. */
interface Knowledge {
  readonly names: number
  readonly policy: Policy
  readonly learned: LearnedAddresses
  /** Memory of the addresses, in bytes. */
  readonly bytes: number
}

interface Work {
  readonly name: string
  /** @param n a different number for each call */
  readonly once: (knowledge: Knowledge, n: number) => void
}

/** Nanoseconds a call with few names and with many, of each round. */
type Figures = (readonly number[])[]

const [FEW, MANY] = [10, 10_000]
const ADDRESSES_A_NAME = 10
const MARK = 1.2
const BATCH = 1000
const WARM_UP_MS = 200
const A = 1
const TTL = 30
const PORT = 80
const ROOT: Asker = { uid: 0, trusted: true, isForgeable: true }
const SENDER: Sender = {
  uid: 0,
  known: false,
  isReply: false,
  isForeign: false,
  isQuarantined: false,
  device: 0,
  isOf: () => false,
}
const NOW = Date.now()
const inbound = clients()
const packet = Object.assign(new Packet(), {
  protocol: IPPROTO_TCP,
  tcpFlags: TCPHDR_SYN,
  sourcePort: 40_000,
  destinationPort: PORT,
})

/** Returns a pseudo-random number below `end`, at a cost that does not depend on `end`. */
const any = (n: number, end: number) => Math.floor(((Math.imul(n, 0x9e3779b1) >>> 0) / 2 ** 32) * end)

/** Writes address number `i` of a family: in 198.18.0.0/15, or in 2001:db8::/32. */
function write(words: Uint32Array, family: Family, i: number): void {
  words[0] = family === 4 ? 0xc6120000 + i : 0x20010db8
  words[1] = 0
  words[2] = 0
  words[3] = family === 4 ? 0 : i
}

function hostOf(family: Family, i: number): Address {
  const words = new Uint32Array(4)
  write(words, family, i)
  return { family, words }
}

/** Addresses with even numbers are IPv4, those with odd numbers IPv6. */
const known = (i: number) => hostOf(i % 2 === 0 ? 4 : 6, i)
const nameOf = (i: number) => `mirror${i}.example.org`
/** Names whose addresses change, the same number in both sizes. Their addresses have the highest numbers. */
const CHANGING = Array.from({ length: 10 }, (_, i) => `changing${i}.example.org`)
const [FIRST_NEW, NEW] = [MANY * ADDRESSES_A_NAME, 30_000]

const verdict = (expected: 'accept' | 'block', family: Family, odd: 0 | 1): Work => ({
  name: `decide(), IPv${family}, ${expected}`,
  once: ({ policy, names }, n) => {
    packet.family = family
    write(packet.destination, family, any(n, (names * ADDRESSES_A_NAME) / 2) * 2 + odd)
    const { verdict } = decide(policy, packet, SENDER, inbound, NOW)
    if (verdict !== expected) throw new Error(`${verdict} instead of ${expected}`)
  },
})

const WORKS: readonly Work[] = [
  verdict('accept', 4, 0),
  verdict('block', 4, 1),
  verdict('accept', 6, 1),
  verdict('block', 6, 0),
  {
    name: 'an answer, address known',
    once: ({ learned, names }, n) => {
      const i = any(n, names * ADDRESSES_A_NAME)
      learn(learned, nameOf(Math.floor(i / ADDRESSES_A_NAME)), [known(i)])
    },
  },
  {
    name: 'an answer, address new',
    once: ({ learned }, n) =>
      learn(learned, CHANGING[n % CHANGING.length]!, [hostOf(4, FIRST_NEW + (n % NEW))]),
  },
]

function learn(learned: LearnedAddresses, name: string, hosts: readonly Address[]): void {
  learned.learn({ id: 0, name, type: A }, { hosts, targets: [], aliases: [], ttl: TTL }, ROOT)
}

const prefix = (words: readonly number[], family: Family, length: number): Prefix => ({
  family,
  words: Uint32Array.of(...words),
  length,
})
const port = (number: number) => [{ first: number, last: number }]

/** The rules of a host that only updates, in the order in which they are tried. */
function policyOf(names: readonly string[]): Policy {
  const none = { prefixes: [], names: [], domains: [] }
  const specs: RuleSpec[] = [
    { ...none, reason: 'resolver', name: 'resolver', protocol: 'any', ports: port(53), prefixes: [RESOLVER] },
    { ...none, reason: 'time', name: 'time', protocol: 'udp', ports: port(123), prefixes: [RESOLVER] },
    { ...none, reason: 'mirror', name: 'mirrors', protocol: 'tcp', ports: port(PORT), users: [0], names },
  ]
  const rules = specs.map(compile)
  return assemble({
    mode: 'enforce',
    canary: undefined,
    ephemeralPorts: { first: 32768, last: 60999 },
    transparentUsers: [],
    sparedUsers: [0],
    trustedUsers: [0],
    rules,
    queryPolicy: undefined,
  })
}

const RESOLVER = prefix([0xc6336402, 0, 0, 0], 4, 32)

/** Options with a kernel that accepts everything. Other options are not used here. */
const OPTIONS = {
  used: new UsedAddresses(0),
  directory: '',
  firewall: { changeHosts: async () => {} },
  isBusy: () => false,
  hostTimeout: 86_400,
} as unknown as LearnedOptions

async function know(names: number): Promise<Knowledge> {
  const all = Array.from({ length: names }, (_, i) => nameOf(i))
  const policy = policyOf([...all, ...CHANGING])
  const learned = new LearnedAddresses(OPTIONS)
  learned.follow(policy, [], { resolve: false, grace: 300 })
  learned.settle(policy)
  const before = memory()
  for (const [i, name] of all.entries())
    learn(
      learned,
      name,
      Array.from({ length: ADDRESSES_A_NAME }, (_, a) => known(i * ADDRESSES_A_NAME + a)),
    )
  // The kernel is updated within a tenth of a second.
  await sleep(200)
  return { names, policy, learned, bytes: memory() - before }
}

function memory(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const counters = new Map<Knowledge, number>()

/** Runs a batch of one kind of work. @returns nanoseconds */
function batch({ once }: Work, knowledge: Knowledge): number {
  const first = counters.get(knowledge) ?? 0
  counters.set(knowledge, first + BATCH)
  const start = performance.now()
  for (let n = first; n < first + BATCH; n++) once(knowledge, n)
  return (performance.now() - start) * 1e6
}

/**
 * Measures both sizes in turns, batch by batch, so that other load affects both alike.
 * @returns nanoseconds a call
 */
async function measure(work: Work, sizes: readonly Knowledge[], milliseconds: number): Promise<number[]> {
  const taken = sizes.map(() => 0)
  const end = performance.now() + milliseconds * sizes.length
  let batches = 0
  for (; performance.now() < end; batches++) {
    for (const [i, knowledge] of sizes.entries()) taken[i]! += batch(work, knowledge)
    // Timers can run between batches.
    await turn()
  }
  return taken.map((nanoseconds) => nanoseconds / batches / BATCH)
}

/**
 * Prints a line for each kind of work, and one for the memory. Each round learns everything again, since the
 * places of addresses in a table are random.
 */
export async function compareSizes(rounds: number, seconds: number): Promise<void> {
  const figures: Figures[] = WORKS.map(() => [])
  const bytes: number[] = []
  for (let round = 0; round < rounds; round++) {
    const sizes = [await know(FEW), await know(MANY)]
    bytes.push(sizes[1]!.bytes)
    for (const [i, work] of WORKS.entries()) {
      await measure(work, sizes, WARM_UP_MS)
      figures[i]!.push(await measure(work, sizes, seconds * 1000))
    }
  }
  console.log(
    `With ${FEW} names and with ${MANY}, each with ${ADDRESSES_A_NAME} addresses (mark for decide(): x${MARK})`,
  )
  for (const [i, { name }] of WORKS.entries()) console.log(row(name, figures[i]!))
  const [megabytes, each] = [median(bytes) / 2 ** 20, median(bytes) / (MANY * ADDRESSES_A_NAME)]
  console.log(
    `  ${'memory'.padEnd(28)}${megabytes.toFixed(1)} MiB with ${MANY}: ${each.toFixed(0)} bytes an address`,
  )
}

function row(name: string, figures: Figures): string {
  const of = (index: number) =>
    median(figures.map((each) => each[index]!))
      .toFixed(0)
      .padStart(7)
  const ratio = median(figures.map(([few, many]) => many! / few!)).toFixed(2)
  return `  ${name.padEnd(28)}${of(0)} ns${of(1)} ns  x${ratio}`
}
