import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { discover } from '../../../src/host/mirrors/discover.js'

const SAMPLES = fileURLToPath(new URL('../../../../test/host/mirrors/samples/', import.meta.url))
export const DISTRIBUTIONS = readdirSync(SAMPLES).sort()

/** Copies the files of a distribution. */
export function copyOf(t: Test, distribution: string): string {
  const root = t.testdir({})
  cpSync(join(SAMPLES, distribution), root, { recursive: true })
  return root
}

/** Makes a host with only these files, by their paths. */
export function hostOf(t: Test, files: Readonly<Record<string, string>>): string {
  const root = t.testdir({})
  for (const [path, text] of Object.entries(files)) write(root, path, text)
  return root
}

export function write(root: string, path: string, text: string | Buffer): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** Returns the paths of all files below a root, without the root. */
export const filesOf = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .sort()

/** Returns each mirror as `host:port file:line`, with the SRV name before it, and the notes. */
export function shown(root: string): { mirrors: string[]; notes: string[] } {
  const { mirrors, notes } = discover(root)
  return {
    mirrors: mirrors.map(({ host, port, service, origin }) =>
      [
        ...(service ? [service] : []),
        `${host}:${port}`,
        `${origin.file.slice(root.length)}:${origin.line}`,
      ].join(' '),
    ),
    notes: notes.map((note) => note.slice(root.length)),
  }
}

/** Returns only the hosts and ports, of a host with only these files. */
export const found = (t: Test, files: Readonly<Record<string, string>>): string[] =>
  discover(hostOf(t, files)).mirrors.map(({ host, port }) => `${host}:${port}`)
