/** Makes the notes of an answer, a sentence each. */

import { formatAddress, formatPrefix } from '../../core/packet/address-text.js'
import { PrefixSet } from '../../core/packet/prefix-set.js'
import { resolversOf } from '../../core/policy/policy.js'
import type { ExplainContext } from './context.js'
import type { Query } from './query.js'
import type { TrialResult } from './trial.js'

const CANARY =
  'a canary of the service goes there, so every packet is blocked as a proof; canary.target can be another address'
const NO_USER = 'no user was given, so rules for certain users do not match: try again with --user NAME'
const NO_UNIT = 'no unit was given, so rules for certain units do not match: try again with --unit NAME'

/** @param places results for each address */
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
        : ', and names are enforced: a DNS query for it is blocked already'
    return [
      `no rule has the name ${host}${asked}`,
      'an address of it still passes when a rule has that address or a prefix: explain the address',
    ]
  }
  if (!first?.isAssumed) return []
  return [
    `no address of ${host} is known now: an address counts as soon as a resolver of this host answers with it`,
  ]
}

function aboutAddress({ host, uid }: Query, { seenName }: ExplainContext): string[] {
  const name = typeof host === 'string' ? undefined : seenName(host, uid)
  if (name === undefined) return []
  return [
    `this host last got this address in an answer for ${name}: if that is the destination, allow the name`,
  ]
}

/** Whether an address is a resolver of this host in the policy. */
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
      ? ['names are enforced: the verdict on a DNS query depends on its name; try again with --question NAME']
      : []
  if (!places.some((each) => isResolver(each, world))) {
    const resolvers = resolversOf(policy).map(formatPrefix).join(', ') || 'none'
    return [
      `this is no resolver of this host (${resolvers}): DNS queries to it are judged like any other packet`,
    ]
  }
  return policy.queryPolicy === undefined
    ? ['names are not enforced (dns.enforceNames): a query for any name passes']
    : []
}

/** Notes about a given source port: whether the packet is an answer to a client. */
function aboutPort(
  { protocol, fromPort }: Query,
  places: readonly TrialResult[],
  world: ExplainContext,
): string[] {
  if (fromPort === undefined) return []
  const own = `${protocol}/${fromPort}`
  if (world.source === 'file') return ['only the running service knows which clients are connected']
  if (!isService(protocol, fromPort, places, world))
    return [`${own} is no service of this host: packets from it are judged like any other`]
  return places.map(({ host, isClient }) => {
    const other = formatAddress(host.family, host.words)
    if (!isClient) return `${own} is a service, and no session of it with ${other} is known now`
    const call =
      protocol === 'tcp' ? '; a new connection from it (a bare SYN) is no answer, and is judged as one' : ''
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
