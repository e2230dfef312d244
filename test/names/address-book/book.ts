/** Makes an address book that records its changes, with short forms of its calls. */
import { AddressBook, type AddressBookOptions } from '../../../src/names/address-book.js'
import { host, hosts, textOf } from '../addresses.js'

export const NAME = 'mirror.example.org'
export const OTHER = 'other.example.org'
export const GRACE = 300
export const NOW = 1_800_000_000_000
export const HOUR = 3600 * 1000
export const DAY = 24 * HOUR

/** Makes a book that watches `NAME`, and records its changes. */
export function book(options: Partial<AddressBookOptions> = {}) {
  const state = { now: NOW, changes: [] as string[], book: undefined as unknown as AddressBook }
  state.book = new AddressBook({
    onChange: (name, host, was, is) => state.changes.push(`${name} ${textOf(host)}: ${was} -> ${is}`),
    grace: () => GRACE,
    isListed: (name) => name === NAME,
    isUsed: () => false,
    isWatched: (name) => name === NAME,
    ...options,
  })
  const addressesIn = (wanted: string, name: string) =>
    state.book
      .entries(name)
      .filter((entry) => entry.state === wanted)
      .map(({ host }) => textOf(host))
  return Object.assign(state, {
    learn: (texts: readonly string[], { ttl = 60, name = NAME, trusted = true } = {}) =>
      state.book.learn(name, { hosts: hosts(...texts), ttl }, state.now, trusted),
    restore: (texts: readonly string[], expires: number, name = NAME) =>
      state.book.restore(
        name,
        texts.map((text) => ({ host: host(text), expires })),
        state.now,
      ),
    /** Lets time pass; the book expires addresses each minute, and at the end. */
    pass: (ms: number) => {
      for (let at = 0; at < ms; at += 60_000) state.book.expire(state.now + at)
      state.now += ms
      state.book.expire(state.now)
    },
    current: (name = NAME) => addressesIn('current', name),
    former: (name = NAME) => addressesIn('former', name),
    names: () => [...state.book.names],
  })
}
/** Returns one of many names below a wildcard. */
export const nth = (i: number) => `n${i}.example.org`

/** Counts the names and addresses that are not watched. */
export const sum = (its: ReturnType<typeof book>) => {
  const names = its.names().filter((name) => name !== NAME)
  return { names: names.length, addresses: names.flatMap((name) => its.book.entries(name)).length }
}
