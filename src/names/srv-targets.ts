/** Holds the targets of the SRV names of mirrors (RFC 2782). */
import { TARGETS_AT_MOST, type Target } from './dns/answer-reader.js'

interface Known {
  readonly target: Target
  /** Milliseconds since the epoch, as the next two: expiry, last named and first named by an answer. */
  readonly expires: number
  readonly seen: number
  readonly since: number
}

/** The part of an answer that the table keeps; an answer without a target is ignored. */
interface LearnedTargets {
  readonly targets: readonly Target[]
  /** Seconds. */
  readonly ttl: number
}

/** A target stays at least this long: each change of targets makes a new policy. */
const STAYS_MS = 300_000

export class ServiceTable {
  readonly #services = new Map<string, Map<string, Known>>()
  readonly #grace: () => number

  /** @param grace seconds that a target outlives its TTL */
  constructor(grace: () => number) {
    this.#grace = grace
  }

  /** Keeps just these SRV names from now on. */
  keep(services: Iterable<string>): void {
    const wanted = new Set(services)
    for (const service of this.#services.keys()) if (!wanted.has(service)) this.#services.delete(service)
    for (const service of wanted) if (!this.has(service)) this.#services.set(service, new Map())
  }

  has(service: string): boolean {
    return this.#services.has(service)
  }

  /** The targets of all SRV names, to be saved. */
  all(): Map<string, Target[]> {
    return new Map([...this.#services.keys()].map((service) => [service, this.targets(service)]))
  }

  targets(service: string): Target[] {
    return [...(this.#services.get(service)?.values() ?? [])].map(({ target }) => target)
  }

  /** @returns whether there is a new target */
  learn(service: string, { targets, ttl }: LearnedTargets, now: number): boolean {
    const known = this.#services.get(service)
    if (known === undefined) return false
    const expires = now + (ttl + this.#grace()) * 1000
    const before = new Set(known.keys())
    for (const target of targets) {
      const key = `${target.name}:${target.port}`
      const since = known.get(key)?.since
      if (since === undefined && !makeRoom(known, now)) continue
      // The target that was named longest ago is evicted first.
      known.delete(key)
      known.set(key, { target, expires, seen: now, since: since ?? now })
    }
    return [...known.keys()].some((key) => !before.has(key))
  }

  /**
   * Drops targets that have expired and that the last answer did not name. @returns whether there were any
   */
  expire(now: number): boolean {
    let changed = false
    for (const known of this.#services.values()) {
      const newest = Math.max(...[...known.values()].map(({ seen }) => seen))
      for (const [key, { expires, seen }] of known) {
        if (expires > now || seen === newest) continue
        known.delete(key)
        changed = true
      }
    }
    return changed
  }
}

/** Evicts a target when the table is full. @returns whether one more target fits */
function makeRoom(known: Map<string, Known>, now: number): boolean {
  if (known.size < TARGETS_AT_MOST) return true
  for (const [key, { since }] of known) if (now - since >= STAYS_MS) return known.delete(key)
  return false
}
