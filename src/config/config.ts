/**
 * Loads the configuration from files, environment and command line. It is accepted as a whole, or refused as
 * a whole.
 */

import type { Origin } from '../core/policy/origin.js'
import { createUsers, type UserLookup } from '../system/users.js'
import { readFiles } from './config-files.js'
import type { Config, Values } from './config-values.js'
import { COMMAND_LINE, ENVIRONMENT, type Problem } from './problems.js'
import { schema } from './schema.js'
import { silentNotes } from './silent-rules.js'
import { fromCommandLine, fromEnvironment, fromFile, mergeFiles } from './sources.js'
import { validate } from './validate.js'

export type { Config } from './config-values.js'
export { formatProblem, type Problem } from './problems.js'
export { showConfig } from './show.js'
export type { AllowEntry, Callback, Endpoint, Listen, Service } from './types.js'

/** A configuration, or all of its problems. */
export type Loaded =
  | {
      readonly ok: true
      readonly config: Config
      /** Where each setting was written, by its key. Settings that have their defaults are missing. */
      readonly origins: ReadonlyMap<string, Origin>
    }
  | {
      readonly ok: false
      readonly problems: readonly Problem[]
      /**
       * Socket of a service that may run on an earlier version of this configuration; undefined when
       * `control.socket` is wrong.
       */
      readonly controlSocket: string | undefined
    }

export interface LoadOptions {
  /** The main file. The files of conf.d beside it are read after it. */
  readonly path: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The values of --set: `key=value`. */
  readonly set: readonly string[]
  /** Looks up users; those of this host by default. */
  readonly users?: UserLookup
}

/** Reads all sources. A mistake of the operator is a problem in the result, never an exception. */
export function load(options: LoadOptions): Loaded {
  const read = readFiles(options.path)
  const files = read.files.map((file) => fromFile(file, schema, file.file === options.path))
  const environment = fromEnvironment(options.environment, schema)
  const commandLine = fromCommandLine(options.set, schema)
  const sources = {
    files: mergeFiles(files),
    environment: environment.values,
    commandLine: commandLine.values,
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

/**
 * Sorts problems by source (main file, fragments by name, environment, command line), and by line within a
 * file.
 */
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

/** Freezes a value and all values in it, but for the words of addresses: a typed array cannot be frozen. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

/** Returns notes on settings that do less than an operator may expect. */
const notesOn = ({ fallback, allow }: Values): string[] => (fallback === 'static' ? silentNotes(allow) : [])
