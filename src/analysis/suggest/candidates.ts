/**
 * Splits the blocks of a log into the smallest parts that could be allowed, and those that could not, with
 * the reason.
 */

import { isUnitName } from '../../core/packet/cgroup-path.js'
import { CANARY, MALFORMED } from '../../core/policy/policy.js'
import { parseHostName } from '../../text/parse-address.js'
import type { PolicyTrial } from '../recorded/policy-trial.js'
import { type Evidence, type RecordedKind, type Who, whoKey } from '../recorded/recorded-kinds.js'
import type { Scan } from '../recorded/scan-detector.js'
import { KernelSenders, kernelServiceOf } from './kernel-senders.js'

/** One user at one destination and port, by one protocol. */
export interface Atom {
  /** undefined for packets of the kernel, which have no user. */
  readonly uid: number | undefined
  /** What the kernel sends: `VXLAN`; undefined when that is not known, and for users. */
  readonly kernelService: string | undefined
  /** The name of the user in the log. */
  readonly user: string | undefined
  /** undefined when it is not known for all blocks: then the entry can name no unit. */
  readonly unit: string | undefined
  /** When `unit` is undefined: the units of some of the blocks. */
  readonly someUnits: readonly string[]
  /** `any`: a protocol that an entry cannot name, of the kernel. */
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'any'
  /** undefined for protocols without ports. */
  readonly port: number | undefined
  /** A host name or an address. */
  readonly place: string
  /** Whether the port is a guess, since only a DNS query for the name was seen. */
  readonly isGuess: boolean
  readonly evidence: readonly Evidence[]
}

/** Why blocks are not suggested to be allowed. */
export const OBSTACLES = [
  'address-expired',
  'allowed',
  'suppressed',
  'crowd',
  'malformed',
  'canary',
  'no-user',
  'own-port',
  'for-others',
  'reverse',
  'no-host-name',
  'protocol',
  'no-destination',
] as const
export type Obstacle = (typeof OBSTACLES)[number]

export interface LeftOut {
  blocks: number
  /** Blocks by their subject: a name, a destination, or a user. */
  readonly about: Map<string, number>
}

/** A sender that looks like a worm, and what was blocked. */
export interface Suspect {
  readonly who: Who
  readonly scan: Scan
  readonly atoms: readonly Atom[]
}

export interface Findings {
  readonly atoms: readonly Atom[]
  readonly suspects: readonly Suspect[]
  readonly leftOut: ReadonlyMap<Obstacle, LeftOut>
}

export interface FindOptions {
  readonly judge: PolicyTrial
  /** Users that query resolvers on behalf of others. */
  readonly resolverUsers: readonly number[]
  readonly scanOf: (who: string) => Scan | undefined
  /** The window of scans, in seconds. */
  readonly window: number
}

/** The port for a name when only a DNS query for it was seen. */
export const GUESSED_PORT = 443
const ABOUT_AT_MOST = 1000
const REVERSE = /\.(in-addr|ip6)\.arpa$/

export function find(kinds: readonly RecordedKind[], options: FindOptions): Findings {
  const names = new Names(kinds)
  const leftOut = new Map<Obstacle, LeftOut>()
  const groups = new Map<string, RecordedKind[]>()
  const kernel = new KernelSenders(kinds)
  for (const { name, host } of names.all) options.judge.learn(name, host)
  for (const kind of kinds) {
    const obstacle = obstacleOf(kind, options, kernel)
    if (obstacle !== undefined) leaveOut(leftOut, obstacle, kind.blocks, kind.question ?? names.placeOf(kind))
    else put(groups, whoKey(kind), kind)
  }
  const suspects: Suspect[] = []
  const innocent: RecordedKind[] = []
  const scans = scansOf(groups, options)
  for (const [who, own] of groups) {
    const scan = scans.get(who)
    if (scan === undefined) innocent.push(...own)
    else suspects.push({ who: own[0]!, scan, atoms: atomsOf(own, names) })
  }
  return { atoms: atomsOf(innocent, names), suspects, leftOut }
}

/**
 * Finds the scans of senders, by user and unit. During a flood not every block is attributed to a unit. So
 * when a user scans in a known unit, his blocks without a unit may be of the same scan. When he scans without
 * a unit, the blocks that were new in a known unit during that time may be of it, too.
 */
function scansOf(groups: ReadonlyMap<string, readonly RecordedKind[]>, { scanOf, window }: FindOptions) {
  const scans = new Map<string, Scan>()
  const byUser = { known: new Map<number | undefined, Scan>(), unknown: new Map<number | undefined, Scan>() }
  for (const [who, [first]] of groups) {
    const scan = scanOf(who)
    if (scan === undefined) continue
    scans.set(who, scan)
    byUser[placeOf(first!)].set(first!.uid, scan)
  }
  for (const [who, own] of groups) {
    const { uid } = own[0]!
    const isUnknown = placeOf(own[0]!) === 'unknown'
    const scan = (isUnknown ? byUser.known : byUser.unknown).get(uid)
    if (scan !== undefined && !scans.has(who) && (isUnknown || hasNew(own, scan, window)))
      scans.set(who, scan)
  }
  return scans
}

const placeOf = ({ unit, container }: RecordedKind) =>
  unit === undefined && container === undefined ? 'unknown' : 'known'

const hasNew = (kinds: readonly RecordedKind[], { time }: Scan, window: number) =>
  kinds.some(({ first }) => Math.abs(first - time) <= window * 1000)

export function leaveOut(to: Map<Obstacle, LeftOut>, why: Obstacle, blocks: number, about?: string): void {
  const entry = to.get(why) ?? { blocks: 0, about: new Map() }
  to.set(why, entry)
  entry.blocks += blocks
  if (about !== undefined && (entry.about.has(about) || entry.about.size < ABOUT_AT_MOST))
    entry.about.set(about, (entry.about.get(about) ?? 0) + blocks)
}

function obstacleOf(
  kind: RecordedKind,
  { judge, resolverUsers }: FindOptions,
  kernel: KernelSenders,
): Obstacle | undefined {
  const { reason, uid, host, port, transport, question, isOwnPort } = kind
  if (reason === MALFORMED.reason || reason === CANARY.reason) return reason as 'malformed' | 'canary'
  if (judge.judge(kind)?.verdict === 'accept') return reason === 'address-expired' ? reason : 'allowed'
  if (kernel.has(kind)) return host === undefined ? 'no-destination' : undefined
  if (uid === undefined) return 'no-user'
  if (question !== undefined) return questionObstacle(question, resolverUsers.includes(uid))
  if (transport === undefined || host === undefined) return 'no-destination'
  if (protocolOf(transport) === undefined) return 'protocol'
  if (port === undefined && protocolOf(transport) !== 'icmp') return 'no-destination'
  return isOwnPort ? 'own-port' : undefined
}

function questionObstacle(question: string, isForOthers: boolean): Obstacle | undefined {
  if (REVERSE.test(question)) return 'reverse'
  if (!parseHostName(question).ok) return 'no-host-name'
  return isForOthers ? 'for-others' : undefined
}

function protocolOf(transport: string): Exclude<Atom['protocol'], 'any'> | undefined {
  if (transport === 'ipv6-icmp') return 'icmp'
  return transport === 'tcp' || transport === 'udp' || transport === 'icmp' ? transport : undefined
}

/** Names of addresses in the log. */
class Names {
  readonly all: { name: string; host: NonNullable<RecordedKind['host']> }[] = []
  readonly #byAddress = new Map<string, Set<string>>()

  constructor(kinds: readonly RecordedKind[]) {
    for (const { uid, domain, address, host } of kinds) {
      const name = nameOf(domain)
      if (name === undefined || host === undefined) continue
      this.all.push({ name, host })
      const key = JSON.stringify([uid, address])
      this.#byAddress.set(key, (this.#byAddress.get(key) ?? new Set()).add(name))
    }
  }

  /**
   * Returns the name of a destination, or its address. An address without a name gets the name that it has in
   * other blocks of the same user: after a restart the service has to learn names again. An address with
   * several names keeps none.
   */
  placeOf({ uid, question, domain, address }: RecordedKind): string | undefined {
    // The kernel looks up no names.
    if (uid === undefined && question === undefined && address !== undefined) return address
    const name = nameOf(question ?? domain)
    if (name !== undefined || address === undefined) return name
    const others = this.#byAddress.get(JSON.stringify([uid, address]))
    return others?.size === 1 ? [...others][0] : address
  }
}

function nameOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const parsed = parseHostName(text)
  return parsed.ok ? parsed.value : undefined
}

/**
 * Makes atoms of kinds. When a name was queried and then called, both are one atom, and its port is no guess.
 */
function atomsOf(kinds: readonly RecordedKind[], names: Names): Atom[] {
  const called = new Map<string, RecordedKind[]>()
  const asked = new Map<string, RecordedKind[]>()
  const callers = new Map<string, string>()
  for (const kind of kinds.filter(({ question }) => question === undefined)) {
    const { uid, transport, port } = kind
    const place = names.placeOf(kind)
    const key = JSON.stringify([uid ?? null, protocolOf(transport!) ?? 'any', port ?? null, place])
    callers.set(JSON.stringify([uid, place]), key)
    put(called, key, kind)
  }
  for (const kind of kinds.filter(({ question }) => question !== undefined)) {
    const place = names.placeOf(kind)
    const caller = callers.get(JSON.stringify([kind.uid, place]))
    if (caller !== undefined) put(called, caller, kind)
    else put(asked, JSON.stringify([kind.uid, 'tcp', GUESSED_PORT, place]), kind)
  }
  return [
    ...[...called].flatMap(([key, own]) => split(key, own, false)),
    ...[...asked].flatMap(([key, own]) => split(key, own, true)),
  ]
}

/**
 * Splits kinds by unit when the unit of all is known. An entry without units is for all processes of the
 * user.
 */
function split(key: string, kinds: readonly RecordedKind[], isGuess: boolean): Atom[] {
  const [uid, protocol, port, place] = JSON.parse(key) as [
    number | null,
    Atom['protocol'],
    number | null,
    string,
  ]
  const units = new Map<string | undefined, RecordedKind[]>()
  const known = kinds.flatMap(({ unit }) => (unit !== undefined && isUnitName(unit) ? [unit] : []))
  const areKnown = known.length === kinds.length
  for (const kind of kinds) put(units, areKnown ? kind.unit : undefined, kind)
  const { user } = kinds.find((kind) => kind.user !== undefined) ?? {}
  const someUnits = areKnown ? [] : [...new Set(known)].sort()
  const kernelService = uid === null ? kernelServiceOf(kinds[0]!) : undefined
  const sender = { uid: uid ?? undefined, user, someUnits, kernelService }
  const common = { ...sender, protocol, port: port ?? undefined, place, isGuess }
  return [...units].map(([unit, evidence]) => ({ ...common, unit, evidence }))
}

function put<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
