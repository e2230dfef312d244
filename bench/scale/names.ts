/**
 * Compares allowlists of different sizes: nanoseconds of a verdict, and of an answer that is learned. One rule has
 * all names, as that of the mirrors does. Addresses come in random order, so that caches hold little of a large
 * table.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Address, type Family, IPPROTO_TCP, type Prefix } from '../../src/core/packet/ip.js'
import { Packet, TCPHDR_SYN } from '../../src/core/packet/packet.js'
import type { Sender } from '../../src/core/packet/sender.js'
import { assemble, compile, decide, type Policy } from '../../src/core/policy/policy.js'
import type { RuleSpec } from '../../src/core/policy/rule.js'
import { UsedAddresses } from '../../src/core/policy/used-addresses.js'
import type { Asker } from '../../src/names/confirmations.js'
import { LearnedAddresses } from '../../src/names/learned-addresses.js'
import type { LearnedOptions } from '../../src/names/learned-options.js'
import { clients } from '../../test/core/clients.js'
import type { Comparison, Figures } from '../frame.js'

/** The state for a number of names. */
interface Knowledge {
  readonly names: number
  readonly policy: Policy
  readonly learned: LearnedAddresses
  /** Memory of a name with an address, in bytes; null with so few that it cannot be told from other memory. */
  readonly bytes: number | null
}

interface Work {
  readonly name: string
  /** @param n a different number for each call */
  readonly once: (knowledge: Knowledge, n: number) => void
}

const SIZES = [10, 10_000, 100_000] as const
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
const [FIRST_NEW, NEW] = [Math.max(...SIZES), 30_000]

const verdict = (expected: 'accept' | 'block', family: Family, odd: 0 | 1): Work => ({
  name: `decide(), IPv${family}, ${expected}`,
  once: ({ policy, names }, n) => {
    packet.family = family
    write(packet.destination, family, any(n, names / 2) * 2 + odd)
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
      const i = any(n, names)
      learn(learned, nameOf(i), [known(i)])
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
  for (const [i, name] of all.entries()) learn(learned, name, [known(i)])
  // The kernel is updated within a tenth of a second.
  await sleep(200)
  const bytes = names < 1000 ? null : (memory() - before) / names
  return { names, policy, learned, bytes }
}

function memory(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const counters = new Map<Knowledge, number>()

/** Runs a batch of one kind of work. @returns milliseconds */
function batch({ once }: Work, knowledge: Knowledge): number {
  const first = counters.get(knowledge) ?? 0
  counters.set(knowledge, first + BATCH)
  const start = performance.now()
  for (let n = first; n < first + BATCH; n++) once(knowledge, n)
  return performance.now() - start
}

/** Runs batches for a time. @returns nanoseconds a call */
async function time(work: Work, knowledge: Knowledge, milliseconds: number): Promise<number> {
  let [batches, taken] = [0, 0]
  for (const end = performance.now() + milliseconds; performance.now() < end; batches++) {
    taken += batch(work, knowledge)
    // Timers can run between batches.
    await turn()
  }
  return (taken * 1e6) / batches / BATCH
}

async function measure(work: Work, knowledge: Knowledge, seconds: number): Promise<Figures> {
  await time(work, knowledge, WARM_UP_MS)
  return { ns: await time(work, knowledge, seconds * 1000), bytes: knowledge.bytes }
}

export async function nameComparisons(): Promise<Comparison[]> {
  const sizes: Knowledge[] = []
  for (const names of SIZES) sizes.push(await know(names))
  return WORKS.map((work) => ({
    name: `names: ${work.name}`,
    columns: [
      { key: 'ns', title: 'ns', ratio: true },
      { key: 'bytes', title: 'bytes a name' },
    ],
    contenders: sizes.map((knowledge) => ({
      name: `${knowledge.names} names`,
      measure: (seconds) => measure(work, knowledge, seconds),
    })),
  }))
}
