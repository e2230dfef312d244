/** What else is to be known of an answer, a sentence each. */

import { formatAddress, formatPrefix } from '../../core/packet/address-text.js'
import { PrefixSet } from '../../core/packet/prefix-set.js'
import { resolversOf } from '../../core/policy/policy.js'
import type { ExplainContext } from './context.js'
import type { Query } from './query.js'
import type { TrialResult } from './trial.js'

const CANARY =
  'this is canary.target: what goes there is always blocked, as a proof; set canary.target to another place'
const NO_USER = 'no user was named, and rules for certain users do not count then: ask again with --user NAME'
const NO_UNIT = 'no unit was named, and rules for certain units do not count then: ask again with --unit NAME'

/** @param places what was judged */
export function notesOn(question: Query, places: readonly TrialResult[], world: ExplainContext): string[] {
  const isMissed = (what: string) =>
    places.some(({ candidates }) =>
      candidates.some(({ misses }) => misses.length === 1 && misses.includes(what as never)),
    )
  return [
    ...aboutName(question, places, world),
    ...aboutAddress(question, world),
    ...aboutQuestion(question, places, world),
    ...(places.some(({ decision }) => decision?.reason === 'canary') ? [CANARY] : []),
    ...aboutPort(question, places, world),
    ...(question.uid === undefined && isMissed('user') ? [NO_USER] : []),
    ...(question.unit === undefined && isMissed('unit') ? [NO_UNIT] : []),
    ...places.flatMap(noRoute),
  ]
}

function aboutName({ host }: Query, [first]: readonly TrialResult[], { policy }: ExplainContext): string[] {
  if (typeof host !== 'string') return []
  if (!policy.names.has(host)) {
    const asked =
      policy.queryPolicy === undefined
        ? ''
        : ', and names are enforced: the question for it is blocked already'
    return [
      `no rule has the name ${host}${asked}`,
      'its addresses pass all the same where a rule has them as addresses or prefixes: explain one of them',
    ]
  }
  if (!first?.isAssumed) return []
  return [`no address of ${host} is known now: one counts as soon as a resolver of this host has answered it`]
}

function aboutAddress({ host, uid }: Query, { seenName }: ExplainContext): string[] {
  const name = typeof host === 'string' ? undefined : seenName(host, uid)
  if (name === undefined) return []
  return [
    `this host last got this address when it asked for ${name}: where that is what is wanted, allow the name`,
  ]
}

/** Whether something is a resolver of this host, in the eyes of the policy. */
export const isResolver = ({ host }: TrialResult, { policy }: ExplainContext): boolean =>
  PrefixSet.of(resolversOf(policy)).has(host.family, host.words)

function aboutQuestion(
  { name, protocol, port }: Query,
  places: readonly TrialResult[],
  world: ExplainContext,
): string[] {
  const { policy } = world
  if (port !== 53) return []
  if (name === undefined)
    return policy.queryPolicy !== undefined &&
      protocol === 'tcp' &&
      places.some((each) => isResolver(each, world))
      ? ['names are enforced: whether a question passes depends on its name; ask again with --question NAME']
      : []
  if (!places.some((each) => isResolver(each, world))) {
    const resolvers = resolversOf(policy).map(formatPrefix).join(', ') || 'none'
    return [`that is no resolver of this host (${resolvers}): its questions are judged like anything else`]
  }
  return policy.queryPolicy === undefined
    ? ['names are not enforced (dns.enforceNames): any may be asked for']
    : []
}

/** Where the packet comes from a port of its own: whether it answers a client. */
function aboutPort(
  { protocol, fromPort }: Query,
  places: readonly TrialResult[],
  world: ExplainContext,
): string[] {
  if (fromPort === undefined) return []
  const own = `${protocol}/${fromPort}`
  if (world.source === 'file') return ['which clients are connected is known to the running service only']
  if (!isService(protocol, fromPort, places, world))
    return [`${own} is no service of this host: what comes from there is a call like any other`]
  return places.map(({ host, isClient }) => {
    const other = formatAddress(host.family, host.words)
    if (!isClient)
      return `${own} is a service, and no session of ${other} with it from that port is known now`
    const call = protocol === 'tcp' ? '; a call from there (a bare SYN) is no answer, and judged as such' : ''
    return `${own} is a service, and has a session with ${other} now: answers pass${call}`
  })
}

function isService(
  protocol: Query['protocol'],
  port: number,
  [first]: readonly TrialResult[],
  { inbound }: ExplainContext,
) {
  if (protocol === 'udp') return inbound.services.udp[port] === 1
  if (inbound.services.tcp[port] === 1 || first === undefined) return inbound.services.tcp[port] === 1
  return inbound.listens(first.host.family, NO_ADDRESS, port, 0)
}

const NO_ADDRESS = new Uint32Array(4)

const noRoute = ({ noRoute, host }: TrialResult): string[] =>
  noRoute === undefined
    ? []
    : [
        `no route leads to ${formatAddress(host.family, host.words)} (${noRoute}): it fails before it is judged`,
      ]
