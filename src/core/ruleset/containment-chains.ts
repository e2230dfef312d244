/**
 * Writes the chains that refuse packets without waking the service: those of quarantined senders, and what was blocked a
 * moment ago. They are for packets that open a connection only: replies to clients go on.
 */

import { FAMILIES } from '../packet/ip.js'
import type { Policy } from '../policy/policy.js'
import type { Marks } from './marks.js'
import type { RulesetOptions } from './options.js'
import { ANY_USER, hex, refill } from './statements.js'

/** A sender in quarantine. */
export interface Quarantined {
  /** User id in this user namespace. */
  readonly uid: number
  /** The cgroup of the sender's unit below the root of the hierarchy: `/system.slice/nginx.service`. */
  readonly cgroup: string | undefined
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** Depths of cgroups that can be quarantined: `socket cgroupv2` compares at one depth. */
const LEVELS = [1, 2, 3, 4] as const

/** The number of parts of a cgroup's path. */
const levelOf = (cgroup: string) => cgroup.split('/').filter((part) => part !== '').length

/** Seconds that a refused destination is remembered: then the next packet there is judged again. */
const REPEAT_SECONDS = 1
const MAX_REPEATS = 65_536
const MAX_USERS = 4096

/** What makes a packet a repeat: user, protocol, destination, port. */
const REPEAT = {
  4: 'meta skuid . meta l4proto . ip daddr . th dport',
  6: 'meta skuid . meta l4proto . ip6 daddr . th dport',
} as const

/** Packets in a second by one device that belong to no user; a flood of them must not fill the queue. */
const ABOVE_OWNERLESS_LIMIT = 'limit rate over 500/second burst 1000 packets'

/** Writes the sets. Those of the quarantine and of refused users survive an update of the table. */
export const containmentSets = ({ matchesCgroups }: RulesetOptions, { sparedUsers }: Policy): string[] => [
  'set quarantined_users { type uid; flags timeout; }',
  ...(matchesCgroups
    ? LEVELS.map((level) => `set quarantined_units${level} { type cgroupsv2; flags timeout; }`)
    : []),
  `set spared_users { type uid;${sparedUsers.length === 0 ? '' : ` elements = { ${sparedUsers.join(', ')} };`} }`,
  `set refused_users { type uid; size ${MAX_USERS}; flags dynamic; counter; }`,
  ...FAMILIES.map(
    (family) =>
      `set repeats${family} { type uid . inet_proto . ipv${family}_addr . inet_service; size ${MAX_REPEATS}; flags dynamic, timeout; timeout ${REPEAT_SECONDS}s; }`,
  ),
  'set ownerless { type iface_index; size 1024; flags dynamic; }',
]

/** Whether a set survives an update of the table. */
export const isOfContainment = (set: string): boolean => /^(quarantined_|refused_users$)/.test(set)

/** Writes the chain `contained`. */
export const contained = (options: RulesetOptions): string[] => [
  ...quarantinedSenders(options).map((sender) => `${sender} goto quarantine`),
  ...FAMILIES.map((family) => `${REPEAT[family]} @repeats${family} goto repeat`),
]

/** Matches the senders in quarantine, a line each. */
const quarantinedSenders = ({ matchesCgroups }: RulesetOptions): string[] => [
  'meta skuid @quarantined_users',
  ...(matchesCgroups
    ? LEVELS.map(
        (level) => `socket cgroupv2 level ${level} @quarantined_units${level} meta skuid != @spared_users`,
      )
    : []),
]

/**
 * Writes rules that refuse the approved connections of quarantined senders, which otherwise go on.
 * @param isApproved matches an approved connection
 */
export const cutApproved = (options: RulesetOptions, { mode }: Policy, isApproved: string): string[] =>
  options.contain === 'new' || mode === 'observe'
    ? []
    : quarantinedSenders(options).map((sender) => `${isApproved} ${sender} goto quarantine`)

/** Counts a packet of a user that the service does not see. When the set is full, the named counter alone counts. */
const COUNT_USER = 'update @refused_users { meta skuid }'

/** The chains `quarantine` and `repeat`. */
export const quarantine = [COUNT_USER, 'counter name "quarantined" goto refuse']
export const repeat = [COUNT_USER, 'counter name "repeated" goto refuse']

/** Writes the rules that remember a blocked packet, when its verdict depends on nothing but what is remembered. */
export const rememberBlocked = (marks: Marks): string[] =>
  FAMILIES.map(
    (family) =>
      `meta mark & ${hex(marks.mask)} == ${hex(marks.repeatable)} update @repeats${family} { ${REPEAT[family]} }`,
  )

/** The commands that forget what was blocked a moment ago. */
export const FORGET_BLOCKS = FAMILIES.flatMap((family) => refill(`repeats${family}`, [])).join('\n')

/** Writes the chain `ownerless`, which limits packets without a user. */
export const ownerless = ({ mode }: Policy): string[] => [
  `${ANY_USER} return`,
  `update @ownerless { oif ${ABOVE_OWNERLESS_LIMIT} } counter name "flooded" ${mode === 'observe' ? 'accept' : 'drop'}`,
]

/** Writes the commands that replace the users in quarantine. @param now milliseconds since the epoch */
export const renderQuarantinedUsers = (quarantined: readonly Quarantined[], now: number): string =>
  refill(
    'quarantined_users',
    [...lastsByUser(quarantined)].map(([uid, until]) => `${uid} ${timeoutText(until, now)}`),
  ).join('\n')

/**
 * Writes the commands that replace the units in quarantine.
 * @param pathOf returns a cgroup's path below /sys/fs/cgroup, as nft wants it; undefined when the cgroup is gone
 * @param now milliseconds since the epoch
 */
export function renderQuarantinedUnits(
  quarantined: readonly Quarantined[],
  pathOf: (cgroup: string) => string | undefined,
  now: number,
): string {
  const units = quarantined.flatMap(({ cgroup, until }) => {
    const path = cgroup === undefined ? undefined : pathOf(cgroup)
    return path === undefined
      ? []
      : [{ level: levelOf(cgroup!), element: `"${path}" ${timeoutText(until, now)}` }]
  })
  return LEVELS.flatMap((level) =>
    refill(
      `quarantined_units${level}`,
      units.filter((unit) => unit.level === level).map(({ element }) => element),
    ),
  ).join('\n')
}

/** A user may be in quarantine in several units: the last to end counts. */
function lastsByUser(quarantined: readonly Quarantined[]): Map<number, number> {
  const lasts = new Map<number, number>()
  for (const { uid, until } of quarantined) lasts.set(uid, Math.max(until, lasts.get(uid) ?? 0))
  return lasts
}

const timeoutText = (until: number, now: number) => `timeout ${Math.max(1, Math.ceil((until - now) / 1000))}s`
