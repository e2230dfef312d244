/** Makes the texts of `--help`: for all commands, and for one. */
import { VERSION } from '../system/version.js'
import type { Command } from './command.js'

export const DEFAULT_CONFIG = '/etc/checkvalve/checkvalve.yaml'

const NAME_WIDTH = 14

/** The options that all commands have. */
export const COMMON = `  --config PATH      default ${DEFAULT_CONFIG}; conf.d/*.yaml
                     beside it is read as well
  --set KEY=VALUE    override one setting, e.g. --set mode=enforce`

export const SIGNALS = `Signals to the running service: SIGHUP reloads the configuration, SIGUSR2
reopens the block log, SIGTERM stops the service.`

/** Lists all commands, a line each. */
export function usage(commands: readonly Command[]): string {
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(NAME_WIDTH - 1)} ${summary}`)
  return `checkvalve ${VERSION}: an outbound guard for web servers

usage: checkvalve COMMAND [OPTION]...

${lines.join('\n')}

${COMMON}

checkvalve COMMAND --help describes a command, with examples.
${SIGNALS}`
}

export const synopsisOf = ({ name, synopsis = '[OPTION]...' }: Command): string =>
  `checkvalve ${name} ${synopsis}`

export const usageOf = (command: Command): string => `usage: ${synopsisOf(command)}`

export function helpOf(command: Command): string {
  const { name, summary, details, examples } = command
  return [
    usageOf(command),
    '',
    `${name}: ${summary}`,
    ...(details === undefined ? [] : ['', details]),
    '',
    COMMON,
    '',
    examples.length > 1 ? 'examples:' : 'example:',
    ...examples.map((line) => `  ${line}`),
  ].join('\n')
}
