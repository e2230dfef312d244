/** Keeps the learned addresses of allowed names, and the targets of SRV names, for the next start. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatAddress } from '../core/packet/address-text.js'
import type { Address } from '../core/packet/ip.js'
import type { Use } from '../core/policy/used-addresses.js'
import { StateFile, type StateFileOptions } from '../system/state-file.js'
import { parseAddress } from '../text/parse-address.js'
import { type Target, targetsOf } from './dns/answer-reader.js'

const FILE = 'addresses.json'
/** Expiry times go on without a change of addresses, so the file is written at least this often. */
const LONGEST_INTERVAL_MS = 3600 * 1000

/** A saved address and its expiry time: milliseconds since the epoch. */
export interface SavedAddress {
  readonly host: Address
  readonly expires: number
  /** `current` when absent. */
  readonly state?: 'current' | 'former'
}

export interface SavedNames {
  readonly names: ReadonlyMap<string, readonly SavedAddress[]>
  /** Targets of SRV names. */
  readonly services: ReadonlyMap<string, readonly Target[]>
  /** Who used which addresses. */
  readonly uses: readonly Use[]
}

/** Writes learned addresses when they have changed, and every hour. */
export class AddressesFile {
  readonly #file: StateFile
  #dueAt = 0

  /** @param saved returns what is to be kept now */
  constructor(directory: string, saved: () => SavedNames, log: StateFileOptions['log']) {
    this.#file = new StateFile({
      path: join(directory, FILE),
      text: () => textOf(saved()),
      loss: 'a restart loses the latest addresses of names',
      log,
    })
  }

  /** Notes that addresses or targets have changed. */
  change(): void {
    this.#file.change()
  }

  /** Writes what has changed when it is due. @param now as StateFile.tick */
  tick(now: number): Promise<void> {
    if (now >= this.#dueAt) {
      this.#file.change()
      this.#dueAt = now + LONGEST_INTERVAL_MS
    }
    return this.#file.tick(now)
  }

  /** Writes what has changed now. @returns why the file could not be written, or undefined */
  write(): Promise<string | undefined> {
    return this.#file.write()
  }
}

function textOf({ names, services, uses }: SavedNames): string {
  const written = {
    names: Object.fromEntries([...names].map(writtenName)),
    services: Object.fromEntries(services),
    uses: uses.map(writtenUse),
  }
  return `${JSON.stringify(written, null, 1)}\n`
}

const writtenName = ([name, entries]: readonly [string, readonly SavedAddress[]]) =>
  [
    name,
    entries.map(({ host, expires, state }) => ({
      address: formatAddress(host.family, host.words),
      expires: new Date(expires).toISOString(),
      ...(state === 'former' && { state }),
    })),
  ] as const

const writtenUse = ({ rule, uid, host, time }: Use) => ({
  rule,
  uid,
  address: formatAddress(host.family, host.words),
  time: new Date(time).toISOString(),
})

/** Reads what an earlier run has kept. Leaves out what cannot be read or makes no sense. */
export function readSavedNames(directory: string): SavedNames {
  const written = read(join(directory, FILE))
  return {
    names: new Map(
      entriesOf(written.names).map(([name, entries]) => [name, listOf(entries).flatMap(savedAddressOf)]),
    ),
    services: new Map(
      entriesOf(written.services).map(([name, targets]) => [name, listOf(targets).flatMap(targetOf)]),
    ),
    uses: listOf(written.uses).flatMap(useOf),
  }
}

type Fields = Readonly<Record<string, unknown>>

function read(path: string): Fields {
  try {
    return fieldsOf(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return {}
  }
}

function savedAddressOf(written: unknown): SavedAddress[] {
  const { address, expires, state } = fieldsOf(written)
  const host = parseAddress(String(address))
  const until = Date.parse(String(expires))
  return host.ok && !Number.isNaN(until)
    ? [{ host: host.value, expires: until, ...(state === 'former' && { state }) }]
    : []
}

function useOf(written: unknown): Use[] {
  const { rule, uid, address, time } = fieldsOf(written)
  const host = parseAddress(String(address))
  const at = Date.parse(String(time))
  if (typeof rule !== 'string' || !Number.isInteger(uid) || !host.ok || Number.isNaN(at)) return []
  return [{ rule, uid: uid as number, host: host.value, time: at }]
}

function targetOf(written: unknown): Target[] {
  const { name, port } = fieldsOf(written)
  return typeof name === 'string' && typeof port === 'number' ? targetsOf(name, port) : []
}

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {}
const entriesOf = (value: unknown) => Object.entries(fieldsOf(value))
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
