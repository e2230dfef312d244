/** Formats an answer to `explain` for an operator, in 80 columns as far as names and paths allow. */
import { Document, isScalar, visit } from 'yaml'
import type { AllowSuggestion, Explained, Judged, Near, RuleFacts } from '../analysis/explain/explanation.js'
import type { Colour, Paint } from './colours.js'
import { validity } from './mirrors-text.js'
import { WIDTH, wrap } from './terminal.js'

const LABEL = 8
const ADDRESS_WIDTH = 40

const WHY: Readonly<Record<Exclude<Judged['reason'], 'rule'>, string>> = {
  malformed: 'its headers cannot be read whole',
  'foreign-source': 'its source is no address of this host',
  canary: 'a canary of the service, which is blocked as a proof',
  session: 'it answers a client of this host',
  callback: 'this service may call its clients back (sessions.callbacks)',
  quarantined:
    'this user was blocked at too many destinations, and is in quarantine: `checkvalve status` says until when',
  resolver: 'a resolver of this host',
  time: 'a time server of this host',
  dhcp: 'the renewal of a lease',
  'unjudged-stream': 'a query must go on where the judged bytes of its TCP connection end',
  'not-ntp': 'a time server gets requests of NTP only',
  'name-not-allowed': 'names are enforced, and no rule has this name',
  mirror: 'an update mirror',
  'address-expired':
    'an allowed name had this address; its time is over, and this user has not used it within dns.keepUsed',
  'not-allowlisted': 'nothing allows it',
  loopback: 'it goes to this host itself, and is never judged',
}

export interface TextOptions {
  /** The main file of the configuration. */
  readonly path: string
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly paint: Paint
}

export function explainText(explained: Explained, options: TextOptions): string {
  const { entry, near, notes, source, mode } = explained
  const answering = source === 'service' ? 'the running service' : `${options.path}, without the service`
  return [
    heading(explained, options),
    ...groupsOf(explained.judged).map((group) => groupText(group, options)),
    ...near.map((each) => labelled('almost', nearText(each))),
    ...(entry ? [entryText(entry, options)] : []),
    ...fallbackText(explained).map((text) => labelled('kernel', text)),
    ...notes.map((note) => labelled('note', note)),
    labelled('source', `${answering} (mode ${mode})`),
  ].join('\n')
}

function heading(explained: Explained, { paint }: TextOptions): string {
  const { protocol, to, user, unit, fromPort, question, mode, verdict } = explained
  const [word, colour] = wordOf(explained)
  const what = [
    `${protocol} to ${to}`,
    ...(question === undefined ? [] : [`DNS query for ${question}`]),
    ...(fromPort === undefined ? [] : [`from port ${fromPort}`]),
    ...(user === undefined ? [] : [`by ${user}`]),
    ...(unit === undefined ? [] : [`in ${unit}`]),
  ]
  const rehearsal = verdict === 'block' && mode === 'observe' ? '\nMode is observe: today it passes.' : ''
  return `${paint(colour, word)}: ${what.join(', ')}${rehearsal}`
}

function wordOf({ verdict, mode, judged }: Explained): [string, Colour] {
  if (verdict === 'accept') return ['ACCEPT', 'green']
  const block = mode === 'observe' ? 'WOULD BLOCK' : 'BLOCK'
  const isMixed = judged.some((each) => each.verdict === 'accept')
  return [isMixed ? `PARTLY ${block}` : block, mode === 'observe' ? 'yellow' : 'red']
}

/** Groups addresses with the same verdict, reason and rule. */
function groupsOf(judged: readonly Judged[]): Judged[][] {
  const groups = new Map<string, Judged[]>()
  for (const each of judged) {
    const key = JSON.stringify([each.verdict, each.reason, each.rule])
    groups.set(key, [...(groups.get(key) ?? []), each])
  }
  return [...groups.values()]
}

function groupText(group: readonly Judged[], { now }: TextOptions): string {
  const { verdict, reason, rule } = group[0]!
  const why = reason === 'rule' ? [] : [`${reason}: ${WHY[reason]}`]
  const facts = [...why, ...(rule === undefined ? [] : [ruleText(rule)])]
  const addresses = group.flatMap(({ address, until }) =>
    address === undefined || until === undefined
      ? []
      : [`${address.padEnd(ADDRESS_WIDTH)} ${validity(Date.parse(until) - now)}`],
  )
  return [labelled(verdict, facts.join('; ')), ...addresses.map((line) => ' '.repeat(LABEL) + line)].join(
    '\n',
  )
}

const ruleText = ({ name, found }: RuleFacts) => `rule "${name}" (${found})`

const nearText = ({ rule, but }: Near) => `${ruleText(rule)} would allow it but for ${but.join('; and for ')}`

function entryText(entry: AllowSuggestion, { path }: TextOptions): string {
  const more = ' '.repeat(LABEL)
  return [
    labelled('allow', `to let it pass, write to ${path}`),
    ...yamlText(entry).map((line) => more + line),
    `${more}or, for the service that runs:`,
    ...commandText(entry).map((line) => more + line),
  ].join('\n')
}

function yamlText(entry: AllowSuggestion): string[] {
  const document = new Document({ allow: [entry] })
  visit(document, {
    Seq: (_, node) => {
      node.flow = node.items.every((item) => isScalar(item))
    },
  })
  return document.toString({ flowCollectionPadding: false }).trimEnd().split('\n')
}

/** Returns the `allow add` command, in two lines when one is too long. */
function commandText({ name, to, ports, protocol, users, units }: AllowSuggestion): string[] {
  const first = `  checkvalve allow add ${name} --to ${to.join()}`
  const rest = [
    ...(ports === undefined ? [] : [`--ports ${ports.join()}`]),
    ...(protocol === undefined ? [] : [`--protocol ${protocol}`]),
    ...(users ?? []).map((user) => `--user ${user}`),
    ...(units ?? []).map((unit) => `--unit ${unit}`),
  ].join(' ')
  const line = `${first} ${rest}`.trimEnd()
  return line.length + LABEL <= WIDTH ? [line] : [`${first} \\`, `    ${rest}`]
}

/** Describes what the kernel does while the service does not answer. */
function fallbackText({ judged }: Explained): string[] {
  if (judged.every(({ reason }) => reason === 'loopback')) return []
  const passing = judged.filter(({ whileSilent }) => whileSilent === 'accept').length
  const some = passing === 0 ? 'blocks it; connections that were approved go on' : 'lets a part of it pass'
  const what = passing === judged.length ? 'lets it pass' : some
  return [`without the service, the kernel ${what}`]
}

/** Puts a label in front of a text, in as many lines as the text takes. */
const labelled = (label: string, text: string) =>
  wrap(text, WIDTH - LABEL)
    .map((line, index) => (index === 0 ? label : '').padEnd(LABEL) + line)
    .join('\n')
