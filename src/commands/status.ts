import { ask } from '../control/client.js'
import type { Status } from '../status/status.js'
import { type Command, configOrComplaint, type Given, has, say } from './command.js'
import { mirrorsText } from './mirrors-text.js'

export const status: Command = {
  name: 'status',
  synopsis: '[--json]',
  summary: 'what the running service does, and every mirror: where it was found, its addresses',
  details: '  --json             the same for programs',
  examples: ['checkvalve status', 'checkvalve status --json'],
  options: { json: { type: 'boolean' } },
  async run(given: Given): Promise<number> {
    const config = configOrComplaint(given)
    if (!config) return 1
    const answer = await ask<Status>(config.control.socket, 'GET', '/v1/status')
    return say(has(given, 'json') ? JSON.stringify(answer, null, 2) : statusText(answer, Date.now()))
  },
}

const PROOF = { true: 'yes', false: 'NO: the canary got out, see the log', undefined: 'not yet' } as const

export function statusText(
  { version, mode, proven, resolvers, mirrors, notes }: Status,
  now: number,
): string {
  const facts = [
    ['checkvalve', version],
    ['mode', mode === 'observe' ? 'observe: nothing is blocked, only recorded' : mode],
    ['proven', mode === 'observe' ? 'nothing to prove' : PROOF[`${proven}`]],
    ['resolvers', resolvers.join(', ') || 'none: names cannot be looked up'],
  ]
  const lines = facts.map(([what, value]) => `${what!.padEnd(10)}  ${value}`)
  return [
    ...lines,
    ...notes.map((note) => `note        ${note}`),
    '',
    mirrorsText(mirrors, now).trimEnd(),
  ].join('\n')
}
