/** Merges the suggestions of several hosts into one, which says how many hosts need each entry. */
import { addEvidence, type Evidence, newEvidence } from '../recorded/recorded-kinds.js'
import { type LeftOut, leaveOut, type Obstacle } from './candidates.js'
import { type Draft, destinationsOf, type EntryPart, named, sumOf, wishedName } from './entries.js'
import { ANY, type Box, join, partsOf } from './merge-entries.js'
import type { SuggestedEntry, Suggestion, SuspectEntries } from './suggestion.js'

/** What one host suggests, by its own users, configuration and resolvers. */
export interface HostSuggestion {
  readonly host: string
  /** All blocks of the host. */
  readonly evidence: Evidence
  readonly entries: readonly HostEntry[]
  readonly suspects: readonly SuspectEntries[]
  readonly leftOut: ReadonlyMap<Obstacle, LeftOut>
  /** What is not known of the host, with what to do. */
  readonly notes: readonly string[]
}

export type HostEntry = Pick<
  SuggestedEntry,
  'name' | 'protocol' | 'isGuess' | 'isForMirrors' | 'kernelServices' | 'someUnits' | 'parts'
>

/** A part of an entry of one host. */
interface HostPart {
  readonly place: string
  readonly entry: HostEntry
  readonly evidence: readonly [Evidence]
}

/**
 * Merges suggestions. The entries of each host are taken apart, and those of all hosts are put together to as
 * few as possible that allow the same. A name on which the hosts agree stays: it is free there.
 */
export function mergeHosts(all: readonly HostSuggestion[]): { suggestion: Suggestion; notes: string[] } {
  const evidence = newEvidence()
  const leftOut = new Map<Obstacle, LeftOut>()
  for (const { host, evidence: own, leftOut: left } of all) {
    if (own.blocks > 0) addEvidence(evidence, ofHost(own, host))
    for (const [why, { blocks, about }] of left) leaveOutAll(leftOut, why, blocks, about)
  }
  // Only destinations have their hosts written beside them: the rest of an entry is needed on all of its hosts.
  const sameSenders = join(all.flatMap(boxesOf), ['place'])
  const entries = named(join(sameSenders.map(apartByHosts)).map(draftOf), new Set())
  const suspects = all
    .flatMap(({ host, suspects }) => suspects.map((each) => ofHost(each, host)))
    .toSorted((a, b) => b.blocks - a.blocks)
  return { suggestion: { evidence, entries, suspects, leftOut, hosts: all.length }, notes: notesOf(all) }
}

const ofHost = <E extends Evidence>(evidence: E, host: string): E => ({ ...evidence, hosts: new Set([host]) })

/** Adds the blocks about each subject, and those that have none. */
function leaveOutAll(
  to: Map<Obstacle, LeftOut>,
  why: Obstacle,
  blocks: number,
  about: ReadonlyMap<string, number>,
): void {
  let rest = blocks
  for (const [what, some] of about) {
    leaveOut(to, why, some, what)
    rest -= some
  }
  leaveOut(to, why, rest)
}

function boxesOf({ host, entries }: HostSuggestion): Box<HostPart>[] {
  return entries.flatMap((entry) => entry.parts.map((part) => boxOf(host, entry, part)))
}

const boxOf = (host: string, entry: HostEntry, part: EntryPart): Box<HostPart> => ({
  kind: `${entry.protocol} ${entry.isGuess} ${part.user === undefined}`,
  place: [part.place],
  port: [memberOf(part.port)],
  user: [memberOf(part.user)],
  unit: [memberOf(part.unit)],
  from: { place: part.place, entry, evidence: [ofHost(part, host)] },
})

/** Returns a value as a member of a box. A user may be a name or a number, and keeps its form. */
const memberOf = (value: string | number | undefined) => (value === undefined ? ANY : JSON.stringify(value))

const valuesOf = <V>(members: readonly string[]): V[] =>
  members[0] === ANY ? [] : members.map((member) => JSON.parse(member) as V)

/** Keeps a box from being joined with boxes of other hosts. */
function apartByHosts(box: Box<HostPart>): Box<HostPart> {
  const hosts = sumOf(partsOf(box)).hosts ?? []
  return { ...box, kind: JSON.stringify([box.kind, ...[...hosts].sort()]) }
}

function draftOf(box: Box<HostPart>): Draft & Pick<SuggestedEntry, 'isForMirrors'> {
  const parts = partsOf(box)
  const entries = [...new Set(parts.map(({ entry }) => entry))]
  const { protocol, isGuess } = entries[0]!
  const names = new Set(entries.map(({ name }) => name))
  const all = (textsOf: (entry: HostEntry) => readonly string[]) =>
    [...new Set(entries.flatMap(textsOf))].sort()
  const draft = {
    ...sumOf(parts),
    to: destinationsOf(parts),
    ports: valuesOf<number>(box.port).sort((a, b) => a - b),
    protocol,
    users: valuesOf<string | number>(box.user),
    uids: [],
    kernelServices: all(({ kernelServices }) => kernelServices),
    units: box.unit[0] === ANY ? undefined : valuesOf<string>(box.unit),
    someUnits: all(({ someUnits }) => someUnits),
    isGuess,
    parts: [],
    isForMirrors: entries.some(({ isForMirrors }) => isForMirrors),
  }
  return { ...draft, name: names.size === 1 ? entries[0]!.name : wishedName(draft) }
}

/** Returns each note once, with its hosts. */
function notesOf(all: readonly HostSuggestion[]): string[] {
  const hosts = new Map<string, Set<string>>()
  for (const { host, notes } of all)
    for (const note of notes) hosts.set(note, (hosts.get(note) ?? new Set()).add(host))
  return [...hosts].map(([note, own]) => `${note} (${hostsText(own, all.length)})`)
}

const NAMED_AT_MOST = 3

/** Formats hosts: the names of a few, or their number. @param of the number of all */
export function hostsText(hosts: ReadonlySet<string>, of: number): string {
  if (hosts.size === of) return `all ${of} hosts`
  const names = [...hosts].sort().slice(0, NAMED_AT_MOST)
  const named = hosts.size > NAMED_AT_MOST ? '' : `: ${names.join(', ')}`
  return `${hosts.size} of ${of} hosts${named}`
}
