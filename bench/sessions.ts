/**
 * Measures the session table with ten sessions and with a million: nanoseconds an event, the ratio of both,
 * and bytes of heap an event. Both tables take turns. `node dist/bench/sessions.js [ROUNDS [SECONDS]]`
 */

import { IPPROTO_TCP } from '../src/core/packet/ip.js'
import { SessionTable } from '../src/core/session/session-table.js'
import { median } from './lib.js'

const [rounds = 5, seconds = 1] = process.argv.slice(2).map(Number)
const MANY = 1_000_000
const FEW = 10
const BATCH = 10_000
const LOCAL = Uint32Array.of(0xc0000201, 0, 0, 0)
const remote = new Uint32Array(4)
const now = 0

/** Makes client number `n`. Clients are spread over addresses and ports. */
function seen(sessions: SessionTable, n: number): void {
  remote[0] = 0xc6120000 + (n >>> 4)
  sessions.seen(4, IPPROTO_TCP, LOCAL, 443, remote, 1024 + (n & 15), now)
}

function isKnown(sessions: SessionTable, n: number): boolean {
  remote[0] = 0xc6120000 + (n >>> 4)
  return sessions.silence(4, IPPROTO_TCP, LOCAL, 443, remote, 1024 + (n & 15), now) < Number.POSITIVE_INFINITY
}

/** Fills a table, so that each new session evicts an old one. */
function filled(capacity: number): SessionTable {
  const seed = crypto.getRandomValues(new Uint32Array(2))
  const sessions = new SessionTable({ capacity, tcpTimeout: 1000, udpTimeout: 1000, seed })
  for (let n = 0; n < capacity; n++) seen(sessions, n)
  return sessions
}

interface Work {
  readonly name: string
  /** @param n a different number for each event @param capacity sessions in the table */
  readonly event: (sessions: SessionTable, n: number, capacity: number) => void
}

const WORKS: readonly Work[] = [
  { name: 'a look-up', event: (sessions, n, capacity) => void isKnown(sessions, (n * 7919) % capacity) },
  {
    name: 'a packet of a known session',
    event: (sessions, n, capacity) => seen(sessions, (n * 7919) % capacity),
  },
  { name: 'a new session, the oldest goes', event: (sessions, n, capacity) => seen(sessions, capacity + n) },
]

const counters = new Map<SessionTable, number>()

/** Runs events for a time. @returns nanoseconds an event, and bytes of the heap */
function measure({ event }: Work, sessions: SessionTable, capacity: number): { ns: number; bytes: number } {
  let n = counters.get(sessions) ?? 0
  const [begin, heap] = [performance.now(), process.memoryUsage().heapUsed]
  let events = 0
  while (performance.now() - begin < seconds * 1000) {
    for (let i = 0; i < BATCH; i++) event(sessions, n++, capacity)
    events += BATCH
  }
  const elapsed = performance.now() - begin
  counters.set(sessions, n)
  return { ns: (elapsed * 1e6) / events, bytes: Math.max(0, process.memoryUsage().heapUsed - heap) / events }
}

const [few, many] = [filled(FEW), filled(MANY)]
console.log(`${(many.byteLength / MANY).toFixed(0)} bytes a session`)
for (const work of WORKS) {
  const small = []
  const large = []
  for (let round = 0; round < rounds; round++) {
    small.push(measure(work, few, FEW))
    large.push(measure(work, many, MANY))
  }
  const ns = (figures: readonly { ns: number }[]) => median(figures.map((each) => each.ns))
  const bytes = median(large.map((each) => each.bytes))
  console.log(
    `${work.name.padEnd(32)}${ns(small).toFixed(0).padStart(5)} ns with ${FEW}, ${ns(large).toFixed(0).padStart(5)} ns with ` +
      `${MANY} (x${(ns(large) / ns(small)).toFixed(2)}); heap: ${bytes.toFixed(2)} bytes an event`,
  )
}
