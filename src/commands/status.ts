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
  summary: 'what the running service does, and who is blocked from what',
  details: `  --watch            show it again every two seconds, until Ctrl-C
  --all              all mirrors, addresses and runtime entries, not only the
                     first ones
  --json             the same for programs; with --watch a line each time`,
  examples: ['checkvalve status', 'checkvalve status --watch', "checkvalve status --json | jq '.verdicts'"],
  options: { json: { type: 'boolean' }, watch: { type: 'boolean' }, all: { type: 'boolean' } },
  async run(given: Invocation): Promise<number> {
    const socket = socketOrComplaint(given)
    if (socket === undefined) return 1
    if (has(given, 'watch')) return watchStatus(socket, given)
    return say(show(await askStatus(socket).catch(explained), given))
  },
}

/** @throws Error: nobody answers; and what is in force then */
async function explained(error: Error): Promise<never> {
  const rest = await leftBehind(error)
  if (rest === undefined) throw error
  throw new Error(`${error.message}\n${rest}`)
}

const askStatus = (socket: string) => ask<Status>(socket, 'GET', '/v1/status')

function show(answer: Status, given: Invocation): string {
  if (has(given, 'json')) return jsonText(answer, has(given, 'watch') ? undefined : 2)
  const paint = paintFor(process.stdout)
  return statusText(answer, { now: Date.now(), paint, all: has(given, 'all') })
}

/** A service that has gone away may come back. */
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
  const rest = await leftBehind(error)
  return [
    ...wrap(error.message, WIDTH).map((line) => paint('red', line)),
    ...(rest === undefined ? [] : [rest]),
    ...(heard === undefined ? [] : [`It was heard of ${span(Date.now() - heard)} ago.`]),
    'Trying again every two seconds. Ctrl-C ends.',
  ].join('\n')
}
