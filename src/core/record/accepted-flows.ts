import { KeyTable } from '../bounded/key-table.js'
import { mostFrequent } from '../bounded/most-frequent.js'
import type { Family, Words } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import { type Decision, REASONS, type Reason } from '../policy/rule.js'

/**
 * Packets of one user to one destination address, protocol and port that a rule accepted. Times: ms since the
 * epoch.
 */
export interface AcceptedFlow {
  readonly uid: number
  readonly family: Family
  readonly protocol: number
  readonly destination: Words
  readonly destinationPort: number
  /** The source port of the last packet. */
  sourcePort: number
  /**
   * Systemd units that sent some of the packets: at most 8, and only those of packets that were looked up.
   */
  units: readonly string[]
  /** The first name by which the address was known; undefined when none was. */
  domain: string | undefined
  /** The reason and the rule of the last packet. */
  reason: Reason
  rule: string
  /** Packets so far. */
  count: number
  readonly first: number
  last: number
}

/**
 * What takes time to find out. It is looked up for the first packets of a flow, and for some of the others.
 */
export interface FlowDetails {
  readonly unit: string | undefined
  readonly domain: string | undefined
}

/** Details are looked up for this many packets of a flow, and after that for one packet in `EVERY`. */
const FIRST = 16
const EVERY = 64
const needsDetails = (count: number) => count <= FIRST || count % EVERY === 0
const MAX_UNITS = 8

const KEY_WORDS = 7
/** When the table is full, 1/8 of the flows is evicted. */
const EVICTED_PART = 8

/**
 * Remembers what rules accepted, so that another policy can be tried on it. It holds no replies to clients:
 * rules do not change their verdict. Memory is bounded by the number of flows.
 */
export class AcceptedFlows {
  /** Flows that were evicted. */
  evicted = 0
  /** Packets that were noted since the start. */
  packets = 0
  readonly #capacity: number
  readonly #table: KeyTable
  /** In the order of their numbers in the table. */
  #flows: AcceptedFlow[] = []

  /**
   * @param capacity maximum number of flows
   * @param seed 64 random bits in two words, secret: senders choose what is hashed
   */
  constructor(capacity: number, seed: Uint32Array) {
    this.#capacity = capacity
    this.#table = new KeyTable(capacity, KEY_WORDS, seed)
  }

  /**
   * Counts a packet that a rule accepted; others are ignored. For the packet path.
   * @param now milliseconds since the epoch @param detailsOf is called for some packets of a flow only
   */
  note(packet: Packet, uid: number, decision: Decision, now: number, detailsOf: () => FlowDetails): void {
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
    if (needsDetails(known.count)) addDetails(known, detailsOf())
  }

  /** Adds the flows of an earlier run, before anything was noted. Flows beyond the capacity are ignored. */
  restore(flows: Iterable<AcceptedFlow>): void {
    for (const flow of flows)
      if (this.#flows.length < this.#capacity && this.#find(flow, flow.uid) === undefined)
        this.#add({ ...flow })
  }

  /** All flows, the one that was seen last at the end. */
  get flows(): readonly AcceptedFlow[] {
    return this.#flows.toSorted((a, b) => a.last - b.last)
  }

  #add(flow: AcceptedFlow): void {
    if (this.#flows.length >= this.#capacity) {
      this.#evict()
      this.#find(flow, flow.uid)
    }
    this.#table.add()
    this.#flows.push(flow)
  }

  /**
   * Evicts the oldest flows. Those of the user with the most flows come first, so that other users keep
   * theirs.
   */
  #evict(): void {
    const { flows } = this
    const holder = mostFrequent(this.#flows.map(({ uid }) => uid))
    const byAge = [...flows.filter(({ uid }) => uid === holder), ...flows.filter(({ uid }) => uid !== holder)]
    const evicted = new Set(byAge.slice(0, Math.ceil(this.#capacity / EVICTED_PART)))
    this.#table.keep((index) => !evicted.has(this.#flows[index]!))
    this.#flows = this.#flows.filter((flow) => !evicted.has(flow))
    this.evicted += evicted.size
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
    return index < 0 ? undefined : this.#flows[index]
  }
}

function addDetails(flow: AcceptedFlow, { unit, domain }: FlowDetails): void {
  flow.domain ??= domain
  if (unit !== undefined && !flow.units.includes(unit) && flow.units.length < MAX_UNITS)
    flow.units = [...flow.units, unit]
}

type KeyFields = 'family' | 'protocol' | 'destination' | 'destinationPort'

/** Copies the fields: the packet is written over by the next one. */
const fieldsOf = (packet: Packet, uid: number, { reasonIndex }: Decision) => ({
  uid,
  family: packet.family,
  protocol: packet.protocol,
  destination: packet.destination.slice(),
  destinationPort: packet.destinationPort,
  sourcePort: packet.sourcePort,
  reason: REASONS[reasonIndex]!,
})
