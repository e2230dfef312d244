import { ask } from '../control/client.js'
import type { Status } from '../status/status.js'
import { paintFor } from './colours.js'
import { type Command, type Given, has, say, socketOrComplaint } from './command.js'
import { statusText } from './status-text.js'
import { span, WIDTH, wrap } from './terminal.js'
import { watch } from './watch.js'

export const status: Command = {
  name: 'status',
  synopsis: '[--watch] [--all] [--json]',
  summary: 'what the running service does, and who is blocked from what',
  details: `  --watch            show it again every two seconds, until Ctrl-C
  --all              all mirrors and their addresses, not only the first ones
  --json             the same for programs; with --watch a line each time`,
  examples: ['checkvalve status', 'checkvalve status --watch', "checkvalve status --json | jq '.verdicts'"],
  options: { json: { type: 'boolean' }, watch: { type: 'boolean' }, all: { type: 'boolean' } },
  async run(given: Given): Promise<number> {
    const socket = socketOrComplaint(given)
    if (socket === undefined) return 1
    return has(given, 'watch') ? watchStatus(socket, given) : say(show(await askStatus(socket), given))
  },
}

const askStatus = (socket: string) => ask<Status>(socket, 'GET', '/v1/status')

function show(answer: Status, given: Given): string {
  if (has(given, 'json')) return JSON.stringify(answer, null, has(given, 'watch') ? undefined : 2)
  const paint = paintFor(process.stdout)
  return statusText(answer, { now: Date.now(), paint, all: has(given, 'all') })
}

/** A service that has gone away may come back. */
function watchStatus(socket: string, given: Given): Promise<number> {
  let heard: number | undefined
  return watch(async () => {
    try {
      const answer = await askStatus(socket)
      heard = Date.now()
      return show(answer, given)
    } catch (error) {
      const { message } = error as Error
      return has(given, 'json') ? JSON.stringify({ error: message }) : absence(message, heard)
    }
  })
}

function absence(message: string, heard: number | undefined): string {
  const paint = paintFor(process.stdout)
  return [
    ...wrap(message, WIDTH).map((line) => paint('red', line)),
    ...(heard === undefined ? [] : [`It was heard of ${span(Date.now() - heard)} ago.`]),
    'Trying again every two seconds. Ctrl-C ends.',
  ].join('\n')
}
