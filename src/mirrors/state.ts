import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAddress } from '../addressing.js'
import type { Host } from '../core/ruleset.js'
import { addressText } from '../core/text.js'
import { makeFolder } from '../folder.js'

const FILE = 'addresses.json'

/** Keeps the addresses of names for the next start, whole or not at all. @throws Error of node:fs */
export function writeState(directory: string, known: Readonly<Record<string, readonly Host[]>>): void {
  const written = Object.fromEntries(
    Object.entries(known).map(([name, hosts]) => [
      name,
      hosts.map((host) => addressText(host.family, host.words)),
    ]),
  )
  makeFolder(directory)
  const path = join(directory, FILE)
  writeFileSync(`${path}.new`, `${JSON.stringify(written, null, 2)}\n`, { mode: 0o640 })
  renameSync(`${path}.new`, path)
}

/** What was kept; what cannot be read counts as nothing. */
export function readState(directory: string): Map<string, Host[]> {
  try {
    const written = JSON.parse(readFileSync(join(directory, FILE), 'utf8')) as Record<string, unknown>
    return new Map(Object.entries(written).map(([name, texts]) => [name, hostsOf(texts)]))
  } catch {
    return new Map()
  }
}

function hostsOf(texts: unknown): Host[] {
  if (!Array.isArray(texts)) return []
  return texts.flatMap((text) => {
    const address = parseAddress(String(text))
    return address.ok ? [address.value] : []
  })
}
