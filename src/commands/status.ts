import { ask } from '../control/client.js'
import type { Status } from '../telemetry/status.js'
import { jsonText } from '../text/terminal-safe.js'
import { paintFor } from './colours.js'
import { type Command, has, type Invocation, say, socketOrComplaint } from './command.js'
import { leftBehind } from './fallback-notice.js'
import { statusText } from './status-text.js'
import { span, WIDTH, wrap } from './terminal.js'
import { watch } from './watch.js'

export const status: Command = {
  name: 'status',
  synopsis: '[--watch] [--all] [--json]',
  summary: 'show what the running service does, and what it blocks',
  details: `  --watch            refresh every two seconds, until Ctrl-C
  --all              all mirrors, addresses and runtime entries, not only the
                     first ones
  --json             output for programs; with --watch a line each time`,
  examples: ['checkvalve status', 'checkvalve status --watch', "checkvalve status --json | jq '.verdicts'"],
  options: { json: { type: 'boolean' }, watch: { type: 'boolean' }, all: { type: 'boolean' } },
  async run(given: Invocation): Promise<number> {
    const socket = socketOrComplaint(given)
    if (socket === undefined) return 1
    if (has(given, 'watch')) return watchStatus(socket, given)
    return say(show(await askStatus(socket).catch(explained), given))
  },
}

/** Adds what is in force without the service. @throws Error (rejects) always: `error` with that line */
async function explained(error: Error): Promise<never> {
  const fallback = await leftBehind(error)
  if (fallback === undefined) throw error
  throw new Error(`${error.message}\n${fallback}`)
}

const askStatus = (socket: string) => ask<Status>(socket, 'GET', '/v1/status')

function show(answer: Status, given: Invocation): string {
  if (has(given, 'json')) return jsonText(answer, has(given, 'watch') ? undefined : 2)
  const paint = paintFor(process.stdout)
  return statusText(answer, { now: Date.now(), paint, all: has(given, 'all') })
}

/** Shows the status every two seconds. While the service does not answer, it keeps asking. */
function watchStatus(socket: string, given: Invocation): Promise<number> {
  let heard: number | undefined
  return watch(async () => {
    try {
      const answer = await askStatus(socket)
      heard = Date.now()
      return show(answer, given)
    } catch (error) {
      return has(given, 'json')
        ? jsonText({ error: (error as Error).message })
        : await absence(error as Error, heard)
    }
  })
}

async function absence(error: Error, heard: number | undefined): Promise<string> {
  const paint = paintFor(process.stdout)
  const fallback = await leftBehind(error)
  return [
    ...wrap(error.message, WIDTH).map((line) => paint('red', line)),
    ...(fallback === undefined ? [] : [fallback]),
    ...(heard === undefined ? [] : [`Its last answer came ${span(Date.now() - heard)} ago.`]),
    'Trying again every two seconds. Ctrl-C ends.',
  ].join('\n')
}
