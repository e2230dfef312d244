import { KeyTable } from '../bounded/key-table.js'
import { mostFrequent } from '../bounded/most-frequent.js'
import type { Family, Words } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import { type Decision, REASONS, type Reason } from '../policy/policy.js'

/** Who reached what, and by which rule. Times are milliseconds since the epoch. */
export interface AcceptedFlow {
  readonly uid: number
  readonly family: Family
  readonly protocol: number
  readonly destination: Words
  readonly destinationPort: number
  /** Of the last packet. */
  sourcePort: number
  /** Those from which some of these packets came, as far as it was looked for; a few at most. */
  units: readonly string[]
  /** The name of the address, as it was known first. */
  domain: string | undefined
  /** Why the last one was accepted, and by which rule. */
  reason: Reason
  rule: string
  count: number
  readonly first: number
  last: number
}

/** What takes time to find out: for the first packets of a kind, and for some of the others. */
export interface Details {
  readonly unit: string | undefined
  readonly domain: string | undefined
}

const FIRST = 16
const EVERY = 64
const isLookedAt = (count: number) => count <= FIRST || count % EVERY === 0
const UNITS_AT_MOST = 8

const KEY_WORDS = 7
/** Where there is no room, so many of the kinds go: of one user those that were seen longest ago. */
const PART = 8

/**
 * What was accepted by rules, so that other rules can be tried on it. Of answers to clients it knows nothing: rules do not
 * change what becomes of those. Memory is bounded by the number of kinds.
 */
export class AcceptedFlows {
  /** Kinds that had to make room. */
  evicted = 0
  /** Packets since the beginning. */
  packets = 0
  readonly #capacity: number
  readonly #table: KeyTable
  #kinds: AcceptedFlow[] = []

  /** @param capacity kinds at most @param seed two random words: strangers choose what is hashed */
  constructor(capacity: number, seed: Uint32Array) {
    this.#capacity = capacity
    this.#table = new KeyTable(capacity, KEY_WORDS, seed)
  }

  /** For the packet path. @param now milliseconds since the epoch @param detailsOf is not asked for each of a kind */
  note(packet: Packet, uid: number, decision: Decision, now: number, detailsOf: () => Details): void {
    const { rule } = decision
    if (rule === undefined) return
    this.packets++
    const known = this.#find(packet, uid)
    if (known === undefined) {
      const { unit, domain } = detailsOf()
      const units = unit === undefined ? [] : [unit]
      this.#add({
        ...fieldsOf(packet, uid, decision),
        ...{ units, domain, rule: rule.spec.name, count: 1, first: now, last: now },
      })
      return
    }
    known.count++
    known.last = now
    known.sourcePort = packet.sourcePort
    known.reason = decision.reason
    known.rule = rule.spec.name
    if (isLookedAt(known.count)) addDetails(known, detailsOf())
  }

  /** Takes over what an earlier run knew, before anything was noted. Further kinds than there is room for are passed over. */
  restore(kinds: Iterable<AcceptedFlow>): void {
    for (const kind of kinds)
      if (this.#kinds.length < this.#capacity && this.#find(kind, kind.uid) === undefined)
        this.#add({ ...kind })
  }

  /** The ones that were seen last come last. */
  get kinds(): readonly AcceptedFlow[] {
    return this.#kinds.toSorted((a, b) => a.last - b.last)
  }

  #add(kind: AcceptedFlow): void {
    if (this.#kinds.length >= this.#capacity) {
      this.#makeRoom()
      this.#find(kind, kind.uid)
    }
    this.#table.add()
    this.#kinds.push(kind)
  }

  /** First the user's who has most of them: whoever reaches many places must not make those of others forgotten. */
  #makeRoom(): void {
    const { kinds } = this
    const holder = mostFrequent(this.#kinds.map(({ uid }) => uid))
    const [own, others] = [true, false].map((is) => kinds.filter(({ uid }) => (uid === holder) === is))
    const gone = new Set([...own!, ...others!].slice(0, Math.ceil(this.#capacity / PART)))
    this.#table.keep((index) => !gone.has(this.#kinds[index]!))
    this.#kinds = this.#kinds.filter((kind) => !gone.has(kind))
    this.evicted += gone.size
  }

  #find(
    { family, protocol, destination, destinationPort }: Pick<AcceptedFlow, KeyFields>,
    uid: number,
  ): AcceptedFlow | undefined {
    const { key } = this.#table
    key[0] = family | (protocol << 8)
    key[1] = uid
    key[2] = destinationPort
    key[3] = destination[0]!
    key[4] = destination[1]!
    key[5] = destination[2]!
    key[6] = destination[3]!
    const index = this.#table.find()
    return index < 0 ? undefined : this.#kinds[index]
  }
}

function addDetails(kind: AcceptedFlow, { unit, domain }: Details): void {
  kind.domain ??= domain
  if (unit !== undefined && !kind.units.includes(unit) && kind.units.length < UNITS_AT_MOST)
    kind.units = [...kind.units, unit]
}

type KeyFields = 'family' | 'protocol' | 'destination' | 'destinationPort'

/** The packet is written over by the next one. */
const fieldsOf = (packet: Packet, uid: number, { reasonIndex }: Decision) => ({
  uid,
  family: packet.family,
  protocol: packet.protocol,
  destination: packet.destination.slice(),
  destinationPort: packet.destinationPort,
  sourcePort: packet.sourcePort,
  reason: REASONS[reasonIndex]!,
})
