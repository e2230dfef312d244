/** Configurations for tests: written to a directory of their own, loaded with users that every host has. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { type Config, formatProblem, type Loaded, type LoadOptions, load } from '../../src/config/config.js'

const USERS: Readonly<Record<string, number>> = { root: 0, _apt: 42, 'www-data': 33, deploy: 1000 }

/** Knows four names, and every number. */
export function lookup(name: string): number | undefined {
  return /^\d+$/.test(name) ? Number(name) : USERS[name]
}

export function nameOf(uid: number): string | undefined {
  return Object.keys(USERS).find((name) => USERS[name] === uid)
}

/** Writes files by their path and gives the directory; it is gone after the test. */
export function directoryOf(t: Test, files: Readonly<Record<string, string | Buffer>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'checkvalve-config-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
  return directory
}

export type Sources = Partial<Omit<LoadOptions, 'path'>>

/** Loads `main.yaml` of a directory. */
export function loadFrom(directory: string, sources: Sources = {}): Loaded {
  return load({ path: join(directory, 'main.yaml'), environment: {}, set: [], users: lookup, ...sources })
}

export function loadText(t: Test, yaml: string | Buffer, sources: Sources = {}): Loaded {
  return loadFrom(directoryOf(t, { 'main.yaml': yaml }), sources)
}

/** The configuration; fails the test with all problems where there is none. */
export function configOf(loaded: Loaded): Config {
  if (loaded.ok) return loaded.config
  throw new Error(loaded.problems.map(formatProblem).join('\n'))
}

/** The lines for the operator, without the directory; none where all is well. */
export function linesOf(loaded: Loaded, directory = ''): string[] {
  if (loaded.ok) return []
  return loaded.problems
    .map(formatProblem)
    .map((line) => (directory ? line.replaceAll(`${directory}/`, '') : line))
}

/** The lines for the operator about one text, which is called main.yaml. */
export function problemsOf(t: Test, yaml: string | Buffer, sources: Sources = {}): string[] {
  const directory = directoryOf(t, { 'main.yaml': yaml })
  return linesOf(loadFrom(directory, sources), directory)
}
