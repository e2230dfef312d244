/** Makes the smallest entry of `allow` that would let a packet pass. */

import type { Config } from '../../config/config.js'
import { formatAddress } from '../../core/packet/address-text.js'
import { isIn } from '../../core/packet/ip.js'
import { ROOT } from '../../core/policy/inherited-sockets.js'
import type { Reason } from '../../core/policy/rule.js'
import { parseHostName } from '../../text/parse-address.js'
import type { ExplainContext } from './context.js'
import type { AllowSuggestion } from './explanation.js'
import type { Query } from './query.js'

/** The most likely port of a name, when only the DNS query for it is known. */
const WEB = [443]

/** Returns undefined when no entry would help. */
export function entryFor(
  reason: Reason | 'loopback',
  question: Query,
  world: ExplainContext,
): AllowSuggestion | undefined {
  const { protocol, host, port, uid, unit } = question
  const own = (to: string) => ({ name: nameFor(to, world.config), to: [to] })
  if (reason === 'name-not-allowed') {
    const asked = parseHostName(question.name ?? '')
    return asked.ok ? { ...own(asked.value), ports: WEB } : undefined
  }
  // Root's packets from a port of a service match no rule with users.
  if (reason !== 'not-allowlisted' || isHandedOn(question, world)) return undefined
  const to = typeof host === 'string' ? host : formatAddress(host.family, host.words)
  return {
    ...own(to),
    ...(port !== undefined && { ports: [port] }),
    ...(protocol !== 'tcp' && { protocol }),
    ...(uid !== undefined && { users: [world.userName(uid) ?? String(uid)] }),
    ...(unit !== undefined && { units: [unit] }),
  }
}

function isHandedOn({ uid, fromPort, protocol }: Query, { policy }: ExplainContext): boolean {
  return (
    uid === ROOT && protocol !== 'icmp' && fromPort !== undefined && !isIn(policy.ephemeralPorts, fromPort)
  )
}

/** Makes a rule name that is not taken (src/config/allow.ts defines the characters that it may have). */
function nameFor(to: string, { allow }: Config): string {
  const base = to
    .replace(/[^a-z0-9._-]+/gi, '-')
    .replace(/^[^a-z0-9]+/i, '')
    .slice(0, 60)
  const taken = new Set(allow.map(({ name }) => name))
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`
    if (!taken.has(name)) return name
  }
}
