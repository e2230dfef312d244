/** Compares session tables of different sizes: nanoseconds an event, and bytes of heap an event. */
import { IPPROTO_TCP } from '../../src/core/packet/ip.js'
import { SessionTable } from '../../src/core/session/session-table.js'
import type { Comparison, Figures } from '../frame.js'

const SIZES = [10, 10_000, 1_000_000] as const
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

/** The number `n` is different for each event; the capacity is that of the table. */
type Event = (sessions: SessionTable, n: number, capacity: number) => void

const EVENTS: Readonly<Record<string, Event>> = {
  'sessions: a look-up': (sessions, n, capacity) => void isKnown(sessions, (n * 7919) % capacity),
  'sessions: a packet of a known one': (sessions, n, capacity) => seen(sessions, (n * 7919) % capacity),
  'sessions: a new one, the oldest goes': (sessions, n, capacity) => seen(sessions, capacity + n),
}

/** A table, and the number of events so far. */
interface Tried {
  readonly sessions: SessionTable
  readonly capacity: number
  events: number
}

/** Runs events for a time. */
function measure(event: Event, tried: Tried, seconds: number): Figures {
  const [begin, heap, first] = [performance.now(), process.memoryUsage().heapUsed, tried.events]
  while (performance.now() - begin < seconds * 1000)
    for (let i = 0; i < BATCH; i++) event(tried.sessions, tried.events++, tried.capacity)
  const [elapsed, events] = [performance.now() - begin, tried.events - first]
  const bytes = Math.max(0, process.memoryUsage().heapUsed - heap) / events
  return { ns: (elapsed * 1e6) / events, bytes, memory: tried.sessions.byteLength / tried.capacity }
}

export function sessionComparisons(): Comparison[] {
  const tables = SIZES.map((capacity): Tried => ({ sessions: filled(capacity), capacity, events: 0 }))
  return Object.entries(EVENTS).map(([name, event]) => ({
    name,
    columns: [
      { key: 'ns', title: 'ns', ratio: true },
      { key: 'bytes', title: 'heap bytes an event', digits: 2 },
      { key: 'memory', title: 'bytes a session' },
    ],
    contenders: tables.map((tried) => ({
      name: `${tried.capacity} sessions`,
      measure: async (seconds) => measure(event, tried, seconds),
    })),
  }))
}
