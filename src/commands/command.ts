/** Defines what a command is. Each command has a file in this folder, and is listed in registry.ts. */
import type { ParseArgsConfig } from 'node:util'
import { type Config, formatProblem, type Loaded, load, type Problem } from '../config/config.js'
import { terminalSafeField, terminalSafeLines } from '../text/terminal-safe.js'

type Options = NonNullable<ParseArgsConfig['options']>

export interface Command {
  readonly name: string
  /** The arguments, as the usage line shows them: `tcp|udp HOST:PORT [--user USER]`. */
  readonly synopsis?: string
  /** One line, for the list of all commands. */
  readonly summary: string
  /** The rest of `--help`: what the command does, and its options. */
  readonly details?: string
  /** Command lines, for `--help`. */
  readonly examples: readonly string[]
  /** The command's own options, in the form of `parseArgs` (node:util). */
  readonly options?: Options
  /** Maximum number of positional arguments. Default: 0. */
  readonly words?: number
  /** @returns the exit status: 0 success, 1 a negative answer @throws UsageError */
  run(given: Invocation): number | Promise<number>
}

/** A parsed command line. */
export interface Invocation {
  /** The path of the configuration. */
  readonly path: string
  /** Whether the command line names the configuration (--config). */
  readonly isPathGiven: boolean
  /** `key=value` of each --set. */
  readonly set: readonly string[]
  /** Positional arguments after the name of the command. */
  readonly words: readonly string[]
  /** The command's own options. */
  readonly options: Readonly<Record<string, unknown>>
}

/** The command line cannot be understood. The exit status is 2. */
export class UsageError extends Error {}

/** Writes lines to standard output; none of them controls a terminal. @returns 0 */
export function say(text: string): number {
  process.stdout.write(`${terminalSafeLines(text)}\n`)
  return 0
}

/** Writes notes to standard error, a line each. @returns 0 */
export function note(notes: readonly string[]): number {
  for (const each of notes) process.stderr.write(`note: ${terminalSafeField(each)}\n`)
  return 0
}

/** Reads the configuration that a command line names. */
export function readConfig({ path, set }: Pick<Invocation, 'path' | 'set'>): Loaded {
  const { CHECKVALVE_CONFIG: _, ...environment } = process.env
  return load({ path, environment, set })
}

/**
 * Reads the configuration. Returns undefined when it cannot be used, after writing its problems to standard
 * error.
 */
export function configOrComplaint(given: Pick<Invocation, 'path' | 'set'>): Config | undefined {
  const loaded = readConfig(given)
  return loaded.ok ? loaded.config : complain(loaded.problems)
}

/**
 * Returns the path of the control socket. Returns undefined when the configuration does not tell it, after
 * writing its problems to standard error. Other mistakes in the configuration, made since the service read
 * it, are no obstacle; nor is a configuration that only the service may read.
 */
export function socketOrComplaint(given: Pick<Invocation, 'path' | 'set'>): string | undefined {
  const loaded = readConfig(given)
  if (loaded.ok) return loaded.config.control.socket
  if (loaded.controlSocket === undefined) return complain(loaded.problems)
  complain(loaded.problems.slice(0, 1))
  return loaded.controlSocket
}

function complain(problems: readonly Problem[]): undefined {
  for (const problem of problems) process.stderr.write(`${terminalSafeField(formatProblem(problem))}\n`)
}

/** Returns the value of an option that takes one value, or undefined when it was not given. */
export function optionOf({ options }: Invocation, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

export const has = ({ options }: Invocation, name: string): boolean => options[name] === true
