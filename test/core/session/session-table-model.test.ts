import t from 'tap'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { type SessionProtocol, SOURCES, type Source } from '../../../src/core/session/session-table.js'
import { words } from '../packets.js'
import { seededRandom } from '../random.js'
import { type Key, table } from './sessions.js'

/** Model does the same as the table, with a Map in the order of the last packets. */
class Model {
  readonly sessions = new Map<string, { protocol: SessionProtocol; seen: number; source: Source }>()
  clock = 0
  evicted = 0

  constructor(
    readonly capacity: number,
    readonly timeouts: Record<SessionProtocol, number>,
  ) {}

  seen(name: string, protocol: SessionProtocol, now: number, source: Source): void {
    this.clock = Math.max(this.clock, now)
    if (!this.sessions.delete(name) && this.sessions.size === this.capacity) this.makeRoom()
    this.sessions.set(name, { protocol, seen: this.clock, source })
  }

  silence(name: string, now: number): number {
    const session = this.sessions.get(name)
    if (session === undefined) return Number.POSITIVE_INFINITY
    const silence = Math.max(this.clock, now) - session.seen
    return silence < this.timeouts[session.protocol] ? silence : Number.POSITIVE_INFINITY
  }

  expire(now: number, limit: number): number {
    this.clock = Math.max(this.clock, now)
    const names = [...this.sessions.keys()].filter(
      (name) => this.silence(name, this.clock) === Number.POSITIVE_INFINITY,
    )
    const isUdp = (name: string) => this.sessions.get(name)!.protocol === IPPROTO_UDP
    const ordered = [...names.filter(isUdp), ...names.filter((name) => !isUdp(name))].slice(0, limit)
    for (const name of ordered) this.sessions.delete(name)
    return ordered.length
  }

  makeRoom(): void {
    if (this.expire(this.clock, 1) === 1) return
    const age = ([, { protocol, seen }]: [string, { protocol: number; seen: number }]) =>
      seen * 2 + (protocol === IPPROTO_UDP ? 0 : 1)
    // The first of the smallest is the oldest: sort is stable and the Map is in order.
    const oldest = [...this.sessions].sort((a, b) => age(a) - age(b))[0]!
    this.sessions.delete(oldest[0])
    this.evicted++
  }

  sizeOf(protocol: SessionProtocol, source: Source): number {
    return [...this.sessions.values()].filter((one) => one.protocol === protocol && one.source === source)
      .length
  }
}

/** Returns one of a few keys of all four kinds, so that the same keys occur repeatedly. */
function keysFor(count: number): Key[] {
  const locals = { 4: words('192.0.2.1'), 6: words('2001:db8::1') }
  const remotes = { 4: words('203.0.113.7'), 6: words('2001:db8:2::2') }
  return Array.from({ length: count }, (_, i) => {
    const family = i % 2 === 0 ? 4 : 6
    const protocol = i % 3 === 0 ? IPPROTO_UDP : IPPROTO_TCP
    const remote = remotes[family].slice()
    remote[family === 4 ? 0 : 3]! ^= i % 5
    return [family, protocol, locals[family], 443, remote, 50000 + i]
  })
}

/** Runs the same random operations on table and model. @returns the first few differences */
function differences(capacity: number, operations: number, seed: number): string[] {
  const random = seededRandom(seed)
  const keys = keysFor(Math.ceil(capacity * 2.5) + 1)
  const sessions = table(capacity, 40, 15)
  const model = new Model(capacity, { [IPPROTO_TCP]: 40, [IPPROTO_UDP]: 15 })
  const wrong: string[] = []
  let now = 100
  for (let step = 0; step < operations && wrong.length < 5; step++) {
    now = Math.max(0, now + (random(6) === 0 ? random(4) : 0) - (random(200) === 0 ? 5 : 0))
    const i = random(keys.length)
    const key = keys[i]!
    const name = String(i)
    const check = (what: string, got: unknown, wanted: unknown) => {
      if (got !== wanted) wrong.push(`capacity ${capacity}, step ${step}, ${what}: ${got}, not ${wanted}`)
    }
    const action = random(20)
    if (action < 9) {
      const source = SOURCES[random(2)]!
      sessions.seen(...key, now, source)
      model.seen(name, key[1], now, source)
    } else if (action < 16) {
      check('silence', sessions.silence(...key, now), model.silence(name, now))
    } else if (action < 18) {
      check('remove', sessions.remove(...key), model.sessions.delete(name))
    } else if (action < 19) {
      const limit = random(4)
      check('expire', sessions.expire(now, limit), model.expire(now, limit))
    } else if (random(500) === 0) {
      sessions.clear()
      model.sessions.clear()
    }
    check('size', sessions.size, model.sessions.size)
    check('evicted', sessions.evicted, model.evicted)
    if (step % 16 !== 0) continue
    for (const protocol of [IPPROTO_TCP, IPPROTO_UDP] as const)
      for (const source of SOURCES)
        check(source, sessions.sizeOf(protocol, source), model.sizeOf(protocol, source))
    for (const [n, each] of keys.entries())
      check('silence', sessions.silence(...each, now), model.silence(String(n), now))
  }
  return wrong
}

t.test('after any operations the table equals a plain Map in the order of the last packets', async (t) => {
  for (const [capacity, operations] of [
    [1, 20_000],
    [2, 50_000],
    [3, 50_000],
    [8, 100_000],
    [64, 100_000],
  ] as const) {
    t.same(differences(capacity, operations, 1000 + capacity), [])
  }
})
