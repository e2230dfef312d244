/** Formats a suggestion as a configuration in YAML, with the reasons in comments. */
import { isIP } from 'node:net'
import { grouped, spanText, timeText, wrap } from '../../text/prose.js'
import { terminalSafe } from '../../text/terminal-safe.js'
import type { Evidence, Who } from '../recorded/recorded-kinds.js'
import type { LeftOut, Obstacle } from './candidates.js'
import type { Apart, Destination, ProposedEntry } from './entries.js'
import { hostsText } from './merge-hosts.js'
import type { SuggestedEntry, Suggestion, SuspectEntries } from './suggestion.js'

const WIDTH = 80
/** Entries and destinations of a suspect that are shown. */
const SUSPECT_ENTRIES = 3
const SUSPECT_DESTINATIONS = 10
const EXAMPLES = 5
/** From this number of names below one domain, a wildcard is proposed. */
const NAMES_BELOW = 8

/** @param source name of the log @param notes what is not known of this host, with what to do */
export function yamlOf(suggestion: Suggestion, source: string, notes: readonly string[] = []): string {
  const { entries, suspects, leftOut, hosts } = suggestion
  const texts = entries.map((entry) => entryText(entry, hosts))
  const allow = texts.length === 0 ? 'allow: []' : `allow:\n${texts.join('\n\n')}`
  const unknown = notes.map((note) => comment('', `FIRST: ${note}`))
  const parts = [
    headOf(suggestion, source),
    ...unknown,
    ...suspects.map((suspect) => suspectText(suspect, hosts)),
    leftOutText(leftOut),
    allow,
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

const HOW =
  'Allow what you know, and nothing else. In conf.d beside the configuration, a file like this adds to ' +
  'its list; checkvalve replay --policy shows what that would change.'

const SILENT =
  'Entries with units allow nothing while the service is silent: with `whenSilent: users` they would fall back to their users.'

function headOf({ evidence, entries }: Suggestion, source: string): string {
  if (evidence.blocks === 0) return comment('', `No blocks in ${source}.`)
  const found = comment('', `${blocksText(evidence.blocks)} in ${source}, ${spanText(evidence)}.`)
  if (entries.length === 0) return found
  const notes = entries.some(({ units }) => units !== undefined) ? [HOW, SILENT] : [HOW]
  return [found, ...notes.map((note) => comment('', note))].join('\n')
}

function entryText(entry: ProposedEntry & Partial<SuggestedEntry>, hosts?: number): string {
  const { name, protocol, ports, users, units } = entry
  return [
    comment('  ', `${evidenceText(entry, hosts)}.`),
    ...notesOn(entry).map((note) => comment('  ', note)),
    `  - name: ${scalar(name)}`,
    ...toLines(entry.to, hosts),
    ...(ports.length > 0 ? [`    ports: [${portTexts(ports).join(', ')}]`] : []),
    `    protocol: ${protocol}`,
    ...(users.length === 0 ? [] : [`    users: [${users.map(scalar).join(', ')}]`]),
    ...(units === undefined ? [] : [`    units: [${units.map(scalar).join(', ')}]`]),
  ].join('\n')
}

function toLines(to: readonly Destination[], hosts: number | undefined): string[] {
  if (to.length === 1) return [`    to: [${scalar(to[0]!.place)}]`]
  const places = to.map(({ place }) => scalar(place))
  const width = Math.min(40, Math.max(...places.map(({ length }) => length)))
  return [
    '    to:',
    ...to.map(
      (each, i) =>
        `      - ${places[i]!.padEnd(width)} # ${grouped(each.blocks)}${onHosts(each, hosts)}, last ${timeText(each.last)}`,
    ),
  ]
}

function notesOn(entry: ProposedEntry & Partial<SuggestedEntry>): string[] {
  return [
    ...(entry.users.length === 0 ? kernelNotes(entry) : []),
    ...(entry.isGuess ? [`Only a DNS query for the name was seen: port ${entry.ports[0]} is a guess.`] : []),
    ...(entry.someUnits.length > 0
      ? [
          `No units: some blocks came from ${entry.someUnits.map((unit) => terminalSafe(unit)).join(', ')}; the units of the others are not known.`,
        ]
      : []),
    ...(entry.isForMirrors ? ['If updates come from there, add it to mirrors.hosts instead.'] : []),
    ...wildcards(entry).map(
      ({ domain, names }) =>
        `${names} names below ${domain}: "*.${domain}" would allow them, and all others below it.`,
    ),
    ...entry.apart.map(apartText),
  ]
}

/** Explains an entry for packets of the kernel: it is for all users. */
function kernelNotes({ kernelServices, protocol }: ProposedEntry): string[] {
  const what =
    kernelServices.length > 0
      ? `the kernel's own (${kernelServices.join(', ')})`
      : "the kernel's own, as of a tunnel, or of programs that end at once"
  return [
    `Packets without a user: ${what}. An entry for them has no users, so all users may send there: allow it for peers that you know.`,
    ...(protocol === 'any'
      ? ['It is for all protocols and ports of the destination: those of tunnels have no name in entries.']
      : []),
  ]
}

const apartText = ({ from, why }: Apart) =>
  why === 'ports'
    ? `Apart from ${from}: not every port was seen at every destination.`
    : `Apart from ${from}: not every user was seen in every unit.`

function wildcards({ to }: ProposedEntry): { domain: string; names: number }[] {
  const below = new Map<string, number>()
  for (const { place } of to) {
    const domain = place.slice(place.indexOf('.') + 1)
    if (/[a-z]$/.test(place) && domain.includes('.')) below.set(domain, (below.get(domain) ?? 0) + 1)
  }
  return [...below].filter(([, names]) => names > NAMES_BELOW).map(([domain, names]) => ({ domain, names }))
}

function suspectText(suspect: SuspectEntries, hosts: number | undefined): string {
  const { who, destinations, window, time, entries } = suspect
  const times = `${grouped(destinations)} destinations in ${window} (${timeText(time)})`
  const all = `in all ${evidenceText(suspect)}`
  const place = suspect.hosts === undefined ? '' : `on ${[...suspect.hosts].join(', ')}, `
  const what = `NOT SUGGESTED, looks like a scan or a worm: ${place}${whoText(who)} was blocked at ${times}; ${all}. Find out what that was before you allow any of it.`
  // That host says more.
  if (hosts !== undefined) return comment('', what)
  const shown = entries.slice(0, SUSPECT_ENTRIES).map(shortened)
  const rest = entries.length - shown.length
  const lines = [...shown, ...(rest > 0 ? [`  # and ${grouped(rest)} more such entries`] : [])]
  return [
    comment('', `${what} Most often:`),
    ...lines
      .join('\n')
      .split('\n')
      .map((line) => `#${line}`),
  ].join('\n')
}

function shortened(entry: ProposedEntry): string {
  const to = entry.to.slice(0, SUSPECT_DESTINATIONS)
  const text = entryText({ ...entry, to, apart: [] })
  const left = entry.to.length - to.length
  return left === 0 ? text : `${text}\n  # and ${grouped(left)} more destinations`
}

const whoText = ({ uid, user, unit, container }: Who) => {
  const place = unit ?? (container && `container ${container.slice(0, 12)}`)
  const name = user ?? uid ?? 'a sender without a user'
  return terminalSafe([name, ...(place === undefined ? [] : [place])].join(' in '))
}

type Explain = (left: LeftOut, examples: string) => string

const EXPLANATIONS: Readonly<Record<Obstacle, Explain>> = {
  suppressed: ({ blocks }, examples) =>
    `INCOMPLETE: ${blocksText(blocks)} were not listed one by one in the log (suppressed)${examples && `, by user: ${examples}`}: there may be more to allow than is seen here.`,
  crowd: ({ blocks }) =>
    `INCOMPLETE: ${blocksText(blocks)} of users with thousands of blocked destinations are left out.`,
  'address-expired': ({ blocks }, examples) =>
    `${blocksText(blocks)} went to addresses that an allowed name had, and that the user had not used within dns.keepUsed: a program keeps them for longer; raise dns.keepUsed, or make the program look the name up again: ${examples}`,
  allowed: ({ blocks }) =>
    `${blocksText(blocks)} would pass now: the configuration allows ${blocks === 1 ? 'it' : 'them'}.`,
  malformed: ({ blocks }) => `${blocksText(blocks)} of malformed packets: no rule can allow those.`,
  canary: ({ blocks }) => `${blocksText(blocks)} of the service's own canary.`,
  'no-user': ({ blocks }, examples) =>
    `${blocksText(blocks)} of packets without a known user, since their program had ended; they pass when their connection is allowed: ${examples}`,
  'own-port': ({ blocks }, examples) =>
    `${blocksText(blocks)} of root, from a port that it bound itself: only an entry without users would match, and every user could use it: ${examples}`,
  'for-others': ({ blocks }, examples) =>
    `${blocksText(blocks)} of the host's resolver, which sent queries on behalf of others; add the name to the entry of the users who need it: ${examples}`,
  reverse: ({ blocks }) =>
    `${blocksText(blocks)} of DNS queries for the names of addresses: dns.reverse allows these.`,
  'no-host-name': ({ blocks }, examples) =>
    `${blocksText(blocks)} of DNS queries for names that are no host names, so that no entry can have them: ${examples}`,
  protocol: ({ blocks }, examples) =>
    `${blocksText(blocks)} of other protocols than TCP, UDP and ICMP: only \`protocol: any\` would allow these: ${examples}`,
  'no-destination': ({ blocks }) => `${blocksText(blocks)} without a valid destination in the log.`,
}

function leftOutText(leftOut: ReadonlyMap<Obstacle, LeftOut>): string {
  const order = Object.keys(EXPLANATIONS) as Obstacle[]
  return order
    .flatMap((why) => {
      const left = leftOut.get(why)
      return left === undefined ? [] : [comment('', EXPLANATIONS[why](left, examplesOf(left)))]
    })
    .join('\n')
}

function examplesOf({ about }: LeftOut): string {
  const all = [...about].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
  const shown = all.slice(0, EXAMPLES).map(([what, blocks]) => `${terminalSafe(what)} (${grouped(blocks)})`)
  return [
    ...shown,
    ...(all.length > shown.length ? [`${grouped(all.length - shown.length)} more`] : []),
  ].join(', ')
}

const evidenceText = (evidence: Evidence, hosts?: number): string =>
  `${blocksText(evidence.blocks)}${onHosts(evidence, hosts)}, ${spanText(evidence)}${programsText(evidence)}`

/** @param of the number of all hosts, where several are merged */
const onHosts = ({ hosts }: Evidence, of: number | undefined) =>
  hosts === undefined || of === undefined ? '' : ` on ${terminalSafe(hostsText(hosts, of))}`

const programsText = ({ programs }: Evidence) =>
  programs.length === 0 ? '' : `, by ${programs.map((each) => terminalSafe(each)).join(', ')}`

const blocksText = (blocks: number) => `${grouped(blocks)} ${blocks === 1 ? 'block' : 'blocks'}`

/** Formats ports, and ranges when all ports between were seen. */
function portTexts(ports: readonly number[]): string[] {
  const runs: { first: number; last: number }[] = []
  for (const port of ports) {
    const run = runs.at(-1)
    if (run !== undefined && run.last === port - 1) run.last = port
    else runs.push({ first: port, last: port })
  }
  return runs.map(({ first, last }) => (first === last ? String(first) : `"${first}-${last}"`))
}

const WORDS = new Set(['true', 'false', 'null', 'yes', 'no', 'on', 'off', 'y', 'n'])

/** Formats a scalar, in quotes when YAML could take it for anything but a text. */
const scalar = (value: string | number): string => {
  if (typeof value === 'number') return String(value)
  const isPlain = /^[a-z_][\w.@-]*$/i.test(value) || isIP(value) === 4
  return isPlain && !WORDS.has(value.toLowerCase()) ? value : quoted(value)
}
const quoted = (value: string) => JSON.stringify(value)

/** Makes the lines of a comment. No text can end the comment. */
function comment(indent: string, text: string): string {
  const start = `${indent}# `
  const lines = wrap(terminalSafe(text, Number.POSITIVE_INFINITY), WIDTH - start.length)
  return lines.map((line) => start + line).join('\n')
}
