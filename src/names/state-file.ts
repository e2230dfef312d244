/** What is known of mirrors, kept for the next start. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatAddress } from '../core/packet/address-text.js'
import type { Address } from '../core/packet/ip.js'
import { writeWhole } from '../system/atomic-write.js'
import { parseAddress } from '../text/parse-address.js'
import { type Target, targetsOf } from './dns/answer-reader.js'

const FILE = 'addresses.json'

/** An address, and until when it counts: milliseconds since the epoch. */
export interface Kept {
  readonly host: Address
  readonly expires: number
}

export interface State {
  readonly names: ReadonlyMap<string, readonly Kept[]>
  /** Targets of SRV names. */
  readonly services: ReadonlyMap<string, readonly Target[]>
}

/** Keeps it, whole or not at all. A slow disk keeps nothing else waiting. @throws Error of node:fs (rejects) */
export async function writeState(directory: string, { names, services }: State): Promise<void> {
  const written = {
    names: Object.fromEntries([...names].map(writtenName)),
    services: Object.fromEntries(services),
  }
  await writeWhole(join(directory, FILE), `${JSON.stringify(written, null, 1)}\n`)
}

const writtenName = ([name, entries]: readonly [string, readonly Kept[]]) =>
  [
    name,
    entries.map(({ host, expires }) => ({
      address: formatAddress(host.family, host.words),
      expires: new Date(expires).toISOString(),
    })),
  ] as const

/** What was kept; what cannot be read counts as nothing. */
export function readState(directory: string): State {
  const written = read(join(directory, FILE))
  return {
    names: new Map(
      entriesOf(written.names).map(([name, entries]) => [name, listOf(entries).flatMap(keptOf)]),
    ),
    services: new Map(
      entriesOf(written.services).map(([name, targets]) => [name, listOf(targets).flatMap(targetOf)]),
    ),
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

function keptOf(written: unknown): Kept[] {
  const { address, expires } = fieldsOf(written)
  const host = parseAddress(String(address))
  const until = Date.parse(String(expires))
  return host.ok && !Number.isNaN(until) ? [{ host: host.value, expires: until }] : []
}

function targetOf(written: unknown): Target[] {
  const { name, port } = fieldsOf(written)
  return typeof name === 'string' && typeof port === 'number' ? targetsOf(name, port) : []
}

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {}
const entriesOf = (value: unknown) => Object.entries(fieldsOf(value))
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
