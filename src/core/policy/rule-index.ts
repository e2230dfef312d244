/** Finds the rules that a packet may fit by its port and address, so that the number of rules does not matter. */

import { Positions } from '../bounded/positions.js'
import { AddressMap } from '../packet/address-map.js'
import type { Address, PortRange } from '../packet/ip.js'
import type { Packet } from '../packet/packet.js'
import { type NumberedPrefix, PrefixMap } from '../packet/prefix-map.js'
import { fitsProtocol } from './conditions.js'
import type { Protocol, Rule, RuleSpec } from './rule.js'

const PORTS = 65_536
const ALL_PORTS: readonly PortRange[] = [{ first: 0, last: PORTS - 1 }]

/**
 * An index of rules. It follows the addresses of their names. Rules with the same protocol and ports share one look-up
 * of the address; only rules that a packet misses by nothing but its user, unit, source port or time are found in vain.
 */
export class RuleIndex {
  readonly #found: Positions
  readonly #services: PortTree<Service>

  /** @param rules in the order in which they are tried */
  constructor(rules: readonly Rule[]) {
    this.#found = new Positions(rules.length)
    const services = servicesOf(rules)
    this.#services = new PortTree(services.map((service) => [service.ports, service]))
  }

  /**
   * Finds all rules whose protocol, ports and addresses, present or former, a packet fits, and perhaps others. Allocates
   * nothing. @returns their positions, until the next call
   */
  find(packet: Packet): Positions {
    const found = this.#found
    found.clear()
    for (let node = leafOf(packet.destinationPort); node > 0; node >>>= 1) {
      const services = this.#services.at(node)
      if (services === undefined) continue
      for (let i = 0; i < services.length; i++) services[i]!.find(packet, found)
    }
    return found
  }
}

/** Groups rules by protocol and ports. */
function servicesOf(rules: readonly Rule[]): Service[] {
  const groups = new Map<string, [Rule, number][]>()
  for (const [position, rule] of rules.entries()) {
    const key = keyOf(rule.spec)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [[rule, position]])
    else group.push([rule, position])
  }
  const key = crypto.getRandomValues(new Uint32Array(2))
  return [...groups.values()].map((group) => new Service(group, key))
}

const keyOf = ({ protocol, ports }: RuleSpec) =>
  `${protocol} ${ports.map(({ first, last }) => `${first}-${last}`).join()}`

/** The rules with one protocol and the same ports, by their addresses. */
class Service {
  readonly ports: readonly PortRange[]
  readonly #protocol: Protocol
  readonly #fixed: PrefixMap
  /** The positions of the rules that have an address, present or former: twice when it is both. */
  readonly #learned: AddressMap<number[]>

  /** @param key as for AddressMap */
  constructor(rules: readonly (readonly [Rule, position: number])[], key: Uint32Array) {
    const { protocol, ports } = rules[0]![0].spec
    this.#learned = new AddressMap(key)
    this.#protocol = protocol
    // A packet without ports has port 0.
    this.ports = ports.length > 0 ? ports : ALL_PORTS
    this.#fixed = new PrefixMap(
      rules.flatMap(([{ spec }, position]) =>
        spec.prefixes.map((prefix): NumberedPrefix => [prefix, position]),
      ),
    )
    for (const [{ addresses, formerAddresses }, position] of rules)
      for (const set of [addresses, formerAddresses])
        set.follow((address, isIn) => (isIn ? this.#add(address, position) : this.#remove(address, position)))
  }

  find(packet: Packet, found: Positions): void {
    if (!fitsProtocol(this.#protocol, packet)) return
    const { family, destination } = packet
    this.#fixed.find(family, destination, found)
    const learned = this.#learned.get(family, destination)
    if (learned === undefined) return
    for (let i = 0; i < learned.length; i++) found.add(learned[i]!)
  }

  #add(address: Address, position: number): void {
    const positions = this.#learned.get(address.family, address.words)
    if (positions === undefined) this.#learned.set(address, [position])
    else positions.push(position)
  }

  #remove(address: Address, position: number): void {
    const positions = this.#learned.get(address.family, address.words)!
    const last = positions.pop()!
    if (positions.length === 0) this.#learned.delete(address)
    else if (last !== position) positions[positions.indexOf(position)] = last
  }
}

/** Returns the node of a single port. The node above a node has half its number. */
const leafOf = (port: number) => PORTS + port

/**
 * A segment tree over all ports: each range is kept in the few nodes that make it up, so that a port finds its ranges in
 * the 17 nodes above it, however many there are.
 */
class PortTree<T> {
  /** The number of the list of each node in `#lists`; 0: none. */
  readonly #listOf = new Uint32Array(2 * PORTS)
  readonly #lists: (T[] | undefined)[] = [undefined]

  constructor(values: readonly (readonly [readonly PortRange[], T])[]) {
    for (const [ranges, value] of values)
      for (const { first, last } of ranges) this.#add(leafOf(first), leafOf(last) + 1, value)
  }

  /** Returns the values in one node. */
  at(node: number): readonly T[] | undefined {
    return this.#lists[this.#listOf[node]!]
  }

  /** Puts a value into the nodes that make up the leaves from `low` to before `high`. */
  #add(low: number, high: number, value: T): void {
    for (; low < high; low >>>= 1, high >>>= 1) {
      if (low & 1) this.#put(low++, value)
      if (high & 1) this.#put(--high, value)
    }
  }

  #put(node: number, value: T): void {
    const list = this.#lists[this.#listOf[node]!]
    if (list === undefined) this.#listOf[node] = this.#lists.push([value]) - 1
    else list.push(value)
  }
}
