#!/usr/bin/env node
/**
 * Runs a command. The exit status is 0 for success, 1 for a negative answer or a bad configuration, 2 for
 * wrong usage.
 */
import { parseArgs } from 'node:util'
import { type Command, say, UsageError } from './commands/command.js'
import { DEFAULT_CONFIG, helpOf, usage, usageOf } from './commands/help.js'
import { allCommands, COMMAND_NAMES, commandOf } from './commands/registry.js'
import { nearest, suggestion } from './config/problems.js'
import { terminalSafe, terminalSafeLines } from './text/terminal-safe.js'

const COMMON = {
  config: { type: 'string', short: 'c' },
  set: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
} as const

const REASON_AT_MOST = 1000
const NOTHING_GIVEN = { path: '', isPathGiven: false, set: [], words: [], options: {} } as const

async function main(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv
  if (first === undefined) return complain('no command', usage(await allCommands()))
  if (first === '--version') return (await commandOf('version'))!.run(NOTHING_GIVEN)
  if (first === 'help' || first === '--help' || first === '-h') return say(await help(rest))
  const { name, args } = split(argv)
  return runCommand(await commandNamed(name), args)
}

/** Returns the help of the named command, or the list of all commands. */
async function help([name]: readonly string[]): Promise<string> {
  return name === undefined ? usage(await allCommands()) : helpOf(await commandNamed(name))
}

async function commandNamed(name: string): Promise<Command> {
  const command = await commandOf(name)
  if (command) return command
  throw new UsageError(`no such command: ${name}${suggestion(nearest(name, COMMAND_NAMES))}`)
}

/** Finds the command, which may follow options that all commands have. */
function split(argv: readonly string[]): { name: string; args: string[] } {
  const { tokens } = parseArgs({ args: [...argv], options: COMMON, strict: false, tokens: true })
  const word = tokens.find((token) => token.kind === 'positional')
  if (word === undefined) throw new UsageError(`no command, only ${argv.join(' ')}`)
  return { name: word.value, args: argv.toSpliced(word.index, 1) }
}

async function runCommand(command: Command, args: string[]): Promise<number> {
  try {
    const { values, positionals } = parse(command, args)
    const { config, set, help, ...options } = values
    if (help) return say(helpOf(command))
    if (positionals.length > (command.words ?? 0))
      throw new UsageError(`${command.name} takes no further argument: ${positionals[command.words ?? 0]}`)
    const path = (config as string | undefined) ?? process.env.CHECKVALVE_CONFIG ?? DEFAULT_CONFIG
    return await command.run({
      path,
      isPathGiven: config !== undefined,
      set: (set as string[] | undefined) ?? [],
      words: positionals,
      options,
    })
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return complain(
      error.message,
      `${usageOf(command)}\n\ncheckvalve ${command.name} --help describes the options.`,
    )
  }
}

function parse(command: Command, args: string[]) {
  try {
    const options = { ...command.options, ...COMMON }
    return parseArgs({ args, allowPositionals: true, options }) as ReturnType<typeof parseArgs>
  } catch (error) {
    throw new UsageError(reasonOf(error as Error, command))
  }
}

/** Shortens an error of parseArgs (node:util) to one line. */
function reasonOf({ message }: Error, { options }: Command): string {
  const [line = ''] = message.split(/\. |\n/)
  const valueless = /^Option '(?:-\w, )?(--[\w-]+)\b.* (?:missing|ambiguous)/.exec(line)
  if (valueless) return `${valueless[1]} needs a value`
  const unknown = /^Unknown option '--([\w-]+)'/.exec(line)
  const known = Object.keys({ ...options, ...COMMON })
  const meant = unknown ? nearest(unknown[1]!, known) : undefined
  return line + suggestion(meant && `--${meant}`)
}

/** @param reason may contain text that a stranger has chosen */
function complain(reason: string, help: string): number {
  process.stderr.write(`checkvalve: ${terminalSafe(reason, REASON_AT_MOST)}\n\n${help}\n`)
  return 2
}

/** A reader that has seen enough (`| head`) is no failure. */
process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE') process.exit()
  process.stderr.write(`checkvalve: the answer cannot be written: ${message}\n`)
  process.exit(1)
})

try {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    if (error instanceof UsageError) return complain(error.message, 'checkvalve --help lists all commands.')
    throw error
  })
} catch (error) {
  process.stderr.write(`checkvalve: ${terminalSafeLines((error as Error).message)}\n`)
  // Setting exitCode is not enough: what was opened before the failure would keep the process running.
  process.exit(1)
}
