/** Describes why a rule does not match. */

import { formatPortRange, formatPrefix } from '../../core/packet/address-text.js'
import type { Miss } from '../../core/policy/explain.js'
import type { RuleSpec } from '../../core/policy/rule.js'
import { timeText } from '../../text/prose.js'
import type { ExplainContext } from './context.js'
import type { Query } from './query.js'

/** Maximum number of items of a list in a phrase. */
const MAX_ITEMS = 4

/** Returns the phrase that follows "would allow it but for". */
export function phraseOf(miss: Miss, spec: RuleSpec, question: Query, world: ExplainContext): string {
  const { ephemeralPorts } = world.policy
  switch (miss) {
    case 'protocol':
      return `the protocol: it is for ${spec.protocol}`
    case 'port':
      return `the port: it is for ${several(spec.ports.map(formatPortRange))}`
    case 'source-port':
      return `the source port: it is for port ${spec.sourcePort}`
    case 'user':
      return `the user: ${usersText(spec.users!, question, world)}`
    case 'handed-on':
      return (
        `the source port: another process may have inherited a service's socket from root, so it is for ` +
        `ports that the kernel chooses (${formatPortRange(ephemeralPorts)}) and on which root has not listened`
      )
    case 'unit':
      return `the unit: it is for ${several(spec.units!)}${notFor(question.unit)}`
    case 'expired':
      return `its end: it expired at ${timeText(spec.expires!)}`
    case 'former':
      return 'the address: no current DNS answer has it; connections from before go on, and a user who used it may for dns.keepUsed'
    case 'destination':
      return `the destination: it leads to ${several(placesOf(spec))}`
  }
}

function usersText(users: readonly number[], { uid }: Query, { userName }: ExplainContext): string {
  const name = (id: number) => userName(id) ?? String(id)
  const own = notFor(uid === undefined ? undefined : name(uid))
  return users.length === 0 ? 'it is for no user of this host' : `it is for ${several(users.map(name))}${own}`
}

const notFor = (who: string | undefined) => (who === undefined ? '' : `, not ${who}`)

const placesOf = ({ prefixes, names, domains }: RuleSpec): string[] => [
  ...names,
  ...domains.map((domain) => `*.${domain}`),
  ...prefixes.map(formatPrefix),
]

function several(all: readonly string[]): string {
  if (all.length <= MAX_ITEMS) return all.join(', ') || 'nothing'
  return `${all.slice(0, MAX_ITEMS - 1).join(', ')} and ${all.length - MAX_ITEMS + 1} more`
}
