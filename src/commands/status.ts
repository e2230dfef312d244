import { askStatus } from '../status/control.js'
import type { Status } from '../status/status.js'
import { mirrorsText } from './mirrors-text.js'

/** What the running service says of itself, as text or JSON. @throws Error (rejects) with a message for the operator */
export async function status(socket: string, json: boolean): Promise<string> {
  const answer = await askStatus(socket)
  return json ? JSON.stringify(answer, null, 2) : statusText(answer, Date.now())
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
