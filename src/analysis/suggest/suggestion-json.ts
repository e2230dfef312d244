/** Formats a suggestion as JSON. */
import { jsonText } from '../../text/terminal-safe.js'
import type { Evidence, Who } from '../recorded/recorded-kinds.js'
import type { ProposedEntry } from './entries.js'
import type { Suggestion } from './suggestion.js'

/** @param notes what is not known of this host, with what to do */
export function jsonOf(suggestion: Suggestion, notes: readonly string[] = []): string {
  const { evidence, entries, suspects, leftOut, hosts } = suggestion
  const written = {
    ...(hosts !== undefined && { hostsMerged: hosts }),
    ...(notes.length > 0 && { notes }),
    ...evidenceOf(evidence),
    allow: entries.map((entry) => ({ ...entryOf(entry), isForMirrors: entry.isForMirrors })),
    suspects: suspects.map((suspect) => ({
      ...whoOf(suspect.who),
      destinations: suspect.destinations,
      window: suspect.window,
      time: timeOf(suspect.time),
      ...evidenceOf(suspect),
      entries: suspect.entries.map(entryOf),
    })),
    notSuggested: Object.fromEntries(
      [...leftOut].map(([why, { blocks, about }]) => [why, { blocks, about: Object.fromEntries(about) }]),
    ),
  }
  return jsonText(written, 2)
}

const entryOf = (entry: ProposedEntry) => ({
  entry: {
    name: entry.name,
    to: entry.to.map(({ place }) => place),
    ...(entry.ports.length > 0 && { ports: entry.ports }),
    protocol: entry.protocol,
    ...(entry.users.length > 0 && { users: entry.users }),
    ...(entry.units !== undefined && { units: entry.units }),
  },
  ...evidenceOf(entry),
  destinations: entry.to.map((each) => ({ place: each.place, ...evidenceOf(each) })),
  parts: entry.parts.map(({ place, port, user, unit, ...each }) => ({
    place,
    port,
    user,
    unit,
    ...evidenceOf(each),
  })),
  isGuess: entry.isGuess,
  ...(entry.users.length === 0 && { ofKernel: entry.kernelServices }),
  ...(entry.someUnits.length > 0 && { someUnits: entry.someUnits }),
})

const whoOf = ({ uid, user, unit, container }: Who) => ({ uid, user, unit, container })

const evidenceOf = ({ blocks, first, last, programs, hosts }: Evidence) => ({
  blocks,
  ...(blocks > 0 && { first: timeOf(first), last: timeOf(last) }),
  programs,
  ...(hosts !== undefined && { hosts: [...hosts].sort() }),
})

const timeOf = (time: number) => new Date(time).toISOString()
