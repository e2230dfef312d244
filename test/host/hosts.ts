import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { formatAddress, formatPrefix } from '../../src/core/packet/address-text.js'
import type { Destination } from '../../src/core/packet/ip.js'
import { readInfrastructure } from '../../src/host/infrastructure.js'

/** Makes a host with only these files, by their paths. @returns its root */
export function rootOf(t: Test, files: Readonly<Record<string, string>>): string {
  const root = t.testdir({})
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

/** Returns a server as text, with its port when it has one of its own. */
export function serverText(server: Destination & { readonly port?: number | undefined }): string {
  const port = server.port === undefined ? '' : ` ${server.port}`
  if (server.kind === 'name') return server.name + port
  if (server.kind === 'wildcard') return `*.${server.domain}${port}`
  const { family, words, length } = server.prefix
  const isWhole = length === (family === 4 ? 32 : 128)
  return (isWhole ? formatAddress(family, words) : formatPrefix(server.prefix)) + port
}

/** Reads the infrastructure of a host with only these files and no users. */
export const readHost = (t: Test, files: Readonly<Record<string, string>>) =>
  readInfrastructure(rootOf(t, files), () => undefined)
