/** The configuration: read from its files, the environment and the command line; refused whole, or frozen. */

import type { Origin } from '../core/policy/origin.js'
import { createUsers, type UserLookup } from '../system/users.js'
import { readFiles } from './config-files.js'
import { COMMAND_LINE, ENVIRONMENT, type Problem } from './problems.js'
import { type Config, schema, type Values } from './schema.js'
import { fromCommandLine, fromEnvironment, fromFile, mergeFiles } from './sources.js'
import { validate } from './validate.js'

export { formatProblem, type Problem } from './problems.js'
export type { Config } from './schema.js'
export { showConfig } from './show.js'
export type { AllowEntry, Callback, Endpoint, Listen, Service } from './types.js'

/** A whole configuration, or everything that is wrong with it. */
export type Loaded =
  | {
      readonly ok: true
      readonly config: Config
      /** Where each setting that somebody has written was written, by its key. */
      readonly origins: ReadonlyMap<string, Origin>
    }
  | {
      readonly ok: false
      readonly problems: readonly Problem[]
      /** Where a service listens that took this configuration when it was still right, if that much can be told. */
      readonly controlSocket: string | undefined
    }

export interface LoadOptions {
  /** The main file. Files of conf.d beside it are read after it. */
  readonly path: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What was given with --set: `key=value`. */
  readonly set: readonly string[]
  /** The host's users, unless a test has its own. */
  readonly users?: UserLookup
}

/** Reads everything anew. Never throws for what an operator can get wrong. */
export function load(options: LoadOptions): Loaded {
  const read = readFiles(options.path)
  const files = read.files.map((file) => fromFile(file, schema, file.file === options.path))
  const environment = fromEnvironment(options.environment, schema)
  const commandLine = fromCommandLine(options.set, schema)
  const sources = {
    files: mergeFiles(files),
    environment: environment.leaves,
    commandLine: commandLine.leaves,
  }
  const validated = validate(schema, sources, options.users ?? createUsers().idOf)
  const problems = [read, ...files, environment, commandLine, validated].flatMap((part) => part.problems)
  const { values, written } = validated
  if (problems.length > 0)
    return {
      ok: false,
      problems: inOrder(problems, options.path),
      controlSocket: values.control.socket,
    }
  const notes = [...read.notes, ...notesOn(values)]
  const origins = new Map([...written].map(([key, { origin }]) => [key, origin]))
  return { ok: true, config: freeze({ ...values, notes }), origins }
}

/** As an editor would go through them: the main file first, then the fragments by name, each from top to bottom. */
function inOrder(problems: readonly Problem[], main: string): Problem[] {
  const rank = ({ file }: Origin): number => {
    if (file === main) return 0
    if (file.startsWith(ENVIRONMENT)) return 2
    return file === COMMAND_LINE ? 3 : 1
  }
  return problems.toSorted((a, b) => {
    const [left, right] = [a.origin, b.origin]
    const byFile = rank(left) - rank(right) || (left.file < right.file ? -1 : Number(left.file > right.file))
    return byFile || (left.line ?? 0) - (right.line ?? 0)
  })
}

/** Everything but the words of addresses: a typed array cannot be frozen. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

/** What a configuration asks for that this version does not do yet. It is said, so that nobody relies on it. */
const notesOn = ({ containment }: Values): string[] =>
  containment.action === 'quarantine'
    ? ['containment.action: this version only alerts, nobody is quarantined']
    : []
