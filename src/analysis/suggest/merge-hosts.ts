/** Merges the suggestions of several hosts into one, which says how many hosts need each entry. */
import { addEvidence, type Evidence, newEvidence } from '../recorded/recorded-kinds.js'
import { type LeftOut, leaveOut, type Obstacle } from './candidates.js'
import { type Draft, destinationsOf, named, sumOf } from './entries.js'
import { ANY, type Box, join, partsOf } from './merge-entries.js'
import type { SuggestedEntry, Suggestion } from './suggestion.js'

/** What one host suggests, by its own users, configuration and resolvers. */
export interface HostSuggestion {
  readonly host: string
  readonly suggestion: Suggestion
  /** What is not known of the host, with what to do. */
  readonly notes: readonly string[]
}

/** A destination of an entry of one host. */
interface Part {
  readonly place: string
  readonly entry: SuggestedEntry
  readonly evidence: readonly [Evidence]
}

/**
 * Merges suggestions. The entries of each host are taken apart, and those of all hosts are put together to as
 * few as possible that allow the same. Names come from the hosts, where they are free.
 */
export function mergeHosts(all: readonly HostSuggestion[]): { suggestion: Suggestion; notes: string[] } {
  const evidence = newEvidence()
  const leftOut = new Map<Obstacle, LeftOut>()
  for (const { host, suggestion } of all) {
    if (suggestion.evidence.blocks > 0) addEvidence(evidence, ofHost(suggestion.evidence, host))
    for (const [why, { blocks, about }] of suggestion.leftOut) leaveOutAll(leftOut, why, blocks, about)
  }
  // Only destinations have their hosts written beside them: the rest of an entry is needed on all of its hosts.
  const sameSenders = join(all.flatMap(boxesOf), ['place'])
  const drafts = join(sameSenders.map(apartByHosts)).map(draftOf)
  const suspects = all
    .flatMap(({ host, suggestion }) => suggestion.suspects.map((each) => ofHost(each, host)))
    .toSorted((a, b) => b.blocks - a.blocks)
  const entries = named(drafts, new Set())
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

/** Returns a box for each combination of destination, port, user and unit that a host suggests to allow. */
function boxesOf({ host, suggestion }: HostSuggestion): Box<Part>[] {
  const boxes: Box<Part>[] = []
  for (const entry of suggestion.entries) {
    const { protocol, isGuess, ports, users, units } = entry
    const kind = `${protocol} ${isGuess} ${users.length === 0}`
    for (const destination of entry.to) {
      const { place } = destination
      const from = { place, entry, evidence: [ofHost(destination, host)] as const }
      for (const port of orAny(ports))
        for (const user of orAny(users))
          for (const unit of orAny(units))
            boxes.push({ kind, place: [place], port: [port], user: [user], unit: [unit], from })
    }
  }
  return boxes
}

/** Keeps a box from being joined with boxes of other hosts. */
function apartByHosts(box: Box<Part>): Box<Part> {
  const hosts = sumOf(partsOf(box)).hosts ?? []
  return { ...box, kind: JSON.stringify([box.kind, ...[...hosts].sort()]) }
}

/** Returns values as members of a box: a user may be a name or a number, so that both keep their form. */
const orAny = (values: readonly (string | number)[] = []): string[] =>
  values.length === 0 ? [ANY] : values.map((value) => JSON.stringify(value))

const valuesOf = <V>(members: readonly string[]): V[] =>
  members[0] === ANY ? [] : members.map((member) => JSON.parse(member) as V)

function draftOf(box: Box<Part>): Draft & Pick<SuggestedEntry, 'isForMirrors'> {
  const parts = [...new Set(partsOf(box))]
  const entries = [...new Set(parts.map(({ entry }) => entry))].sort((a, b) => b.blocks - a.blocks)
  const { name, protocol, isGuess } = entries[0]!
  const all = (textsOf: (entry: SuggestedEntry) => readonly string[]) =>
    [...new Set(entries.flatMap(textsOf))].sort()
  return {
    ...sumOf(parts),
    name,
    to: destinationsOf(parts),
    ports: valuesOf<number>(box.port).sort((a, b) => a - b),
    protocol,
    users: valuesOf<string | number>(box.user),
    uids: [],
    kernelServices: all(({ kernelServices }) => kernelServices),
    units: box.unit[0] === ANY ? undefined : valuesOf<string>(box.unit),
    someUnits: all(({ someUnits }) => someUnits),
    isGuess,
    isForMirrors: entries.some(({ isForMirrors }) => isForMirrors),
  }
}

/** Returns each note once, with its hosts. */
function notesOf(all: readonly HostSuggestion[]): string[] {
  const hosts = new Map<string, string[]>()
  for (const { host, notes } of all)
    for (const note of notes) hosts.set(note, [...(hosts.get(note) ?? []), host])
  return [...hosts].map(([note, own]) => `${note} (${hostsText(new Set(own), all.length)})`)
}

const NAMED_AT_MOST = 3

/** Formats hosts: the names of a few, or their number. @param of the number of all */
export function hostsText(hosts: ReadonlySet<string>, of: number): string {
  if (hosts.size === of) return `all ${of} hosts`
  const names = [...hosts].sort().slice(0, NAMED_AT_MOST)
  const named = hosts.size > NAMED_AT_MOST ? '' : `: ${names.join(', ')}`
  return `${hosts.size} of ${of} hosts${named}`
}
