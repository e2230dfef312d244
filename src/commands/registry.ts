import type { Command } from './command.js'

/**
 * All commands, in the order of the help text. A command's file is loaded on demand: none waits for the
 * imports of another.
 */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.js')).run,
  check: async () => (await import('./check.js')).check,
  'show-config': async () => (await import('./show-config.js')).showConfig,
  ruleset: async () => (await import('./ruleset.js')).ruleset,
  status: async () => (await import('./status.js')).status,
  explain: async () => (await import('./explain.js')).explain,
  tail: async () => (await import('./tail.js')).tail,
  suggest: async () => (await import('./suggest.js')).suggest,
  replay: async () => (await import('./replay.js')).replay,
  allow: async () => (await import('./allow.js')).allow,
  mode: async () => (await import('./mode.js')).mode,
  release: async () => (await import('./release.js')).release,
  doctor: async () => (await import('./doctor.js')).doctor,
  version: async () => (await import('./version.js')).version,
}

export const COMMAND_NAMES: readonly string[] = Object.keys(COMMANDS)

export const allCommands = (): Promise<Command[]> =>
  Promise.all(Object.values(COMMANDS).map((read) => read()))

export const commandOf = async (name: string): Promise<Command | undefined> =>
  Object.hasOwn(COMMANDS, name) ? COMMANDS[name]!() : undefined
