/** Makes entries for `allow`, each with the blocks that it would allow. */
import { addEvidence, type Evidence, newEvidence } from '../recorded/recorded-kinds.js'
import type { Atom } from './candidates.js'
import { ANY, type Box, join, partsOf } from './merge-entries.js'

export interface ProposedEntry extends Evidence {
  readonly name: string
  readonly to: readonly Destination[]
  /** Sorted; empty for ICMP. */
  readonly ports: readonly number[]
  readonly protocol: Atom['protocol']
  /** Empty for packets of the kernel, which have no user: the entry is for all users. */
  readonly users: readonly (string | number)[]
  readonly uids: readonly number[]
  /** What the kernel sends, as far as that is known: `VXLAN`. */
  readonly kernelServices: readonly string[]
  /** undefined: any unit. */
  readonly units: readonly string[] | undefined
  /** When `units` is undefined: the units of some of the blocks. */
  readonly someUnits: readonly string[]
  readonly isGuess: boolean
  readonly parts: readonly EntryPart[]
  /** An earlier entry that looks as if it could be merged with this one, and why it is not. */
  readonly apart: readonly Apart[]
}

/** One destination, port, user and unit of an entry. Those that the entry has none of are undefined. */
export interface EntryPart extends Evidence {
  readonly place: string
  readonly port: number | undefined
  readonly user: string | number | undefined
  readonly unit: string | undefined
}

export interface Destination extends Evidence {
  readonly place: string
}

export interface Apart {
  readonly from: string
  readonly why: 'ports' | 'users'
}

/** Returns the name of a user when this host has one that leads back to the same number, else the number. */
export type NameUser = (uid: number, logged: string | undefined) => string | number

/**
 * Makes entries with unique names, the one with the most blocks first.
 * @param taken names that must not be used
 */
export function entriesOf(
  atoms: readonly Atom[],
  nameUser: NameUser,
  taken: ReadonlySet<string>,
): ProposedEntry[] {
  const drafts = join(atoms.map(boxOf)).map((box) => draftOf(box, nameUser))
  return named(
    drafts.map((draft) => ({ ...draft, name: wishedName(draft) })),
    taken,
  )
}

/** An entry whose name may be in use. */
export type Draft = Omit<ProposedEntry, 'apart'>
type Nameless = Omit<Draft, 'name'>

/**
 * Sorts entries, those of the most hosts and then of the most blocks first, and makes their names unique.
 * @param taken names that must not be used
 */
export function named<D extends Draft>(
  drafts: readonly D[],
  taken: ReadonlySet<string>,
): (D & Pick<ProposedEntry, 'apart'>)[] {
  const names = new Set(taken)
  const entries: (D & Pick<ProposedEntry, 'apart'>)[] = []
  for (const draft of drafts.toSorted((a, b) => byWeight(a, b) || compare(sortKey(a), sortKey(b)))) {
    const name = freeName(draft.name, names)
    names.add(name)
    entries.push({ ...draft, name, apart: apartOf(draft, entries) })
  }
  return entries
}

const byWeight = (a: Evidence, b: Evidence) =>
  (b.hosts?.size ?? 0) - (a.hosts?.size ?? 0) || b.blocks - a.blocks

const boxOf = (atom: Atom): Box<Atom> => ({
  kind: `${atom.protocol} ${atom.isGuess} ${atom.uid === undefined}`,
  place: [atom.place],
  port: [String(atom.port ?? ANY)],
  user: [atom.uid === undefined ? ANY : String(atom.uid)],
  unit: [atom.unit ?? ANY],
  from: atom,
})

function draftOf(box: Box<Atom>, nameUser: NameUser): Nameless {
  const { port, user, unit } = box
  const parts = partsOf(box)
  const { protocol, isGuess } = parts[0]!
  const uids = user[0] === ANY ? [] : user.map(Number).sort((a, b) => a - b)
  const logged = (uid: number) => parts.find((part) => part.uid === uid && part.user !== undefined)?.user
  const nameOf = (uid: number) => nameUser(uid, logged(uid))
  return {
    ...sumOf(parts),
    to: destinationsOf(parts),
    ports: port[0] === ANY ? [] : port.map(Number).sort((a, b) => a - b),
    protocol,
    uids,
    users: uids.map(nameOf),
    kernelServices: [...new Set(parts.flatMap(({ kernelService }) => kernelService ?? []))].sort(),
    units: unit[0] === ANY ? undefined : unit.toSorted(),
    someUnits: [...new Set(parts.flatMap(({ someUnits }) => someUnits))].sort(),
    isGuess,
    parts: parts.map((part) => ({
      ...sumOf([part]),
      place: part.place,
      port: part.port,
      user: part.uid === undefined ? undefined : nameOf(part.uid),
      unit: part.unit,
    })),
  }
}

/** Returns the places of parts, those of the most hosts and then of the most blocks first. */
export function destinationsOf(parts: readonly Pick<Atom, 'place' | 'evidence'>[]): Destination[] {
  const byPlace = new Map<string, Pick<Atom, 'evidence'>[]>()
  for (const part of parts) {
    const others = byPlace.get(part.place)
    if (others === undefined) byPlace.set(part.place, [part])
    else others.push(part)
  }
  return [...byPlace]
    .map(([place, own]) => ({ place, ...sumOf(own) }))
    .sort((a, b) => byWeight(a, b) || compare(a.place, b.place))
}

export function sumOf(parts: readonly Pick<Atom, 'evidence'>[]): Evidence {
  const sum = newEvidence()
  for (const { evidence } of parts) for (const each of evidence) addEvidence(sum, each)
  return sum
}

const sortKey = ({ users, units, protocol, ports, to }: Nameless) =>
  JSON.stringify([users, units, protocol, ports, to.map(({ place }) => place).sort()])

/** Makes a name of sender and destination: `php8.2-fpm-api.example.org`. */
export function wishedName({ users, units, protocol, ports, to }: Nameless): string {
  const sender = users.length === 0 ? 'kernel' : users.slice(0, 2).join('-')
  const who = units?.length === 1 ? units[0]!.replace(/\.\w+$/, '') : sender
  const service = ports.length === 1 ? `${protocol}-${ports[0]}` : protocol
  return `${who}-${to.length === 1 ? to[0]!.place : service}`
}

const NAME_AT_MOST = 60

/** Makes a valid, unused name: letters, digits, dots, hyphens, underscores; a letter or a digit first. */
function freeName(wished: string, taken: ReadonlySet<string>): string {
  const plain = wished.replace(/[^a-z0-9._-]+/gi, '-').replace(/^[^a-z0-9]+/i, '')
  const name = plain.slice(0, NAME_AT_MOST).replace(/[.-]+$/, '') || 'entry'
  if (!taken.has(name)) return name
  for (let number = 2; ; number++) if (!taken.has(`${name}-${number}`)) return `${name}-${number}`
}

/** Finds the first earlier entry that looks as if it could be merged with this one. */
function apartOf(draft: Nameless, before: readonly Draft[]): Apart[] {
  const places = new Set(draft.to.map(({ place }) => place))
  for (const entry of before) {
    const why = whyApart(draft, entry, () => entry.to.some(({ place }) => places.has(place)))
    if (why !== undefined) return [{ from: entry.name, why }]
  }
  return []
}

function whyApart(a: Nameless, b: Nameless, samePlace: () => boolean): Apart['why'] | undefined {
  if (a.protocol !== b.protocol || a.isGuess !== b.isGuess) return undefined
  const samePort = a.ports.some((port) => b.ports.includes(port))
  if (isEqual(a.users, b.users) && isEqual(a.units ?? [], b.units ?? []))
    return samePort || samePlace() ? 'ports' : undefined
  const haveUnits = a.units !== undefined && b.units !== undefined
  return haveUnits && samePort && samePlace() ? 'users' : undefined
}

const isEqual = <T>(a: readonly T[], b: readonly T[]) =>
  a.length === b.length && a.every((each) => b.includes(each))
const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b))
