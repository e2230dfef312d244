/** Holds single addresses that are learned and forgotten all the time. */

import { AddressMap } from './address-map.js'
import type { Address, Family, Words } from './ip.js'

/** Is told that a set has a new address, or has one no longer. */
export type OnMembership = (address: Address, isIn: boolean) => void

/** A set of addresses that counts how many reasons each has to be in it: two names may share an address. */
export class AddressSet {
  readonly #counts: AddressMap<number>
  #listeners: readonly OnMembership[] = []

  /** @param key as for AddressMap */
  constructor(key: Uint32Array) {
    this.#counts = new AddressMap(key)
  }

  /** The number of different addresses. */
  get size(): number {
    return this.#counts.size
  }

  /** Adds a reason for an address. @returns whether it is the first one */
  add(address: Address): boolean {
    const count = this.#counts.get(address.family, address.words) ?? 0
    this.#counts.set(address, count + 1)
    if (count > 0) return false
    for (const listener of this.#listeners) listener(address, true)
    return true
  }

  /** Takes a reason away. @returns whether it was the last one; false when the address is not in the set */
  remove(address: Address): boolean {
    const count = this.#counts.get(address.family, address.words) ?? 0
    if (count > 1) this.#counts.set(address, count - 1)
    if (count !== 1) return false
    this.#counts.delete(address)
    for (const listener of this.#listeners) listener(address, false)
    return true
  }

  /**
   * Whether an address has a reason. Takes constant time, whatever addresses the set holds, and allocates
   * nothing.
   */
  has(family: Family, words: Words): boolean {
    return this.#counts.get(family, words) !== undefined
  }

  /** Calls a listener for each address in the set now, and for each that is added or removed from now on. */
  follow(listener: OnMembership): void {
    this.#listeners = [...this.#listeners, listener]
    for (const address of this) listener(address, true)
  }

  [Symbol.iterator](): IterableIterator<Address> {
    return this.#counts.keys()
  }
}
