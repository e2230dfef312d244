import type { Address } from '../core/packet/ip.js'
import { parsePrefix } from '../text/parse-address.js'

/** Seconds for which an address counts as this host's after it has gone: connections to it may still end in order. */
const KEPT_S = 300
/** As many as the kernel's set takes; further ones are not remembered. */
const MAX_FORMER = 4096

/** Remembers the addresses that this host had until recently: a lease has changed, or keepalived has moved an address. */
export class FormerAddresses {
  /** The second at which each address is forgotten, by its text. */
  readonly #until = new Map<string, number>()
  #current: readonly string[] = []

  /** Takes the addresses that this host has now, without those of loopback. @param now seconds */
  update(current: readonly string[], now: number): void {
    for (const address of this.#current)
      if (!current.includes(address) && this.#until.size < MAX_FORMER) this.#until.set(address, now + KEPT_S)
    for (const address of current) this.#until.delete(address)
    this.#current = current
  }

  /** Returns the addresses that are remembered. @param now seconds */
  list(now: number): Address[] {
    for (const [address, until] of this.#until) if (until <= now) this.#until.delete(address)
    return [...this.#until.keys()].flatMap((text) => {
      const prefix = parsePrefix(text)
      return prefix.ok ? [prefix.value] : []
    })
  }
}
