import { ask } from '../control/client.js'
import type { ModeChanged } from '../control/routes/runtime.js'
import { originText } from '../core/policy/origin.js'
import type { Status } from '../telemetry/status.js'
import {
  type Command,
  type Invocation,
  note,
  readConfig,
  say,
  socketOrComplaint,
  UsageError,
} from './command.js'
import { WIDTH, wrap } from './terminal.js'

export const mode: Command = {
  name: 'mode',
  synopsis: '[observe|enforce]',
  summary: 'show the mode, or change it until the next reload or restart',
  details: `enforce judges live connections again, and cuts those that are not allowed;
observe cuts nothing. To keep a mode, write it into the configuration.`,
  examples: ['checkvalve mode enforce', 'checkvalve mode'],
  words: 1,
  async run(given: Invocation): Promise<number> {
    const [wanted] = given.words
    if (wanted !== undefined && wanted !== 'observe' && wanted !== 'enforce')
      throw new UsageError(`the mode is observe or enforce, not ${JSON.stringify(wanted)}`)
    const socket = socketOrComplaint(given)
    if (socket === undefined) return 1
    return wanted === undefined ? show(socket) : change(socket, given, wanted)
  },
}

async function show(socket: string): Promise<number> {
  return say((await ask<Status>(socket, 'GET', '/v1/status')).mode)
}

async function change(socket: string, given: Invocation, wanted: Status['mode']): Promise<number> {
  const { configured, notes } = await ask<ModeChanged>(socket, 'PUT', '/v1/mode', { mode: wanted })
  const lines =
    wanted === configured
      ? [`mode is ${wanted}, as in the configuration`]
      : [
          `mode is ${wanted}, until the next reload or restart`,
          `to keep it: \`mode: ${wanted}\` ${placeOf(given)}`,
        ]
  say(lines.flatMap((line) => wrap(line, WIDTH)).join('\n'))
  return note(notes)
}

/** Describes where to write the line: in place of the effective one, or in the main file. */
function placeOf(given: Invocation): string {
  const loaded = readConfig(given)
  const origin = loaded.ok ? loaded.origins.get('mode') : undefined
  return origin === undefined ? `in ${given.path}` : `in place of ${originText(origin)}`
}
