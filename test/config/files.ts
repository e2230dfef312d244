/** Writes each test's configuration to its own directory, and loads it with fixed users. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { type Config, formatProblem, type Loaded, type LoadOptions, load } from '../../src/config/config.js'

const USERS: Readonly<Record<string, number>> = { root: 0, _apt: 42, 'www-data': 33, deploy: 1000 }

/** Looks up four users by name, and every uid. */
export function lookup(name: string): number | undefined {
  return /^\d+$/.test(name) ? Number(name) : USERS[name]
}

export function nameOf(uid: number): string | undefined {
  return Object.keys(USERS).find((name) => USERS[name] === uid)
}

/**
 * Writes files to a new directory, which is removed after the test. Keys are paths. @returns the directory's
 * path
 */
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

/** Returns the configuration. @throws Error with all problems when there is none */
export function configOf(loaded: Loaded): Config {
  if (loaded.ok) return loaded.config
  throw new Error(loaded.problems.map(formatProblem).join('\n'))
}

/**
 * Returns the messages for the operator, without the directory; an empty list when the configuration is
 * valid.
 */
export function linesOf(loaded: Loaded, directory = ''): string[] {
  if (loaded.ok) return []
  return loaded.problems
    .map(formatProblem)
    .map((line) => (directory ? line.replaceAll(`${directory}/`, '') : line))
}

/** Returns the messages for the operator about the text of a main.yaml. */
export function problemsOf(t: Test, yaml: string | Buffer, sources: Sources = {}): string[] {
  const directory = directoryOf(t, { 'main.yaml': yaml })
  return linesOf(loadFrom(directory, sources), directory)
}
