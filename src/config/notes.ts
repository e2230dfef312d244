/** What a configuration asks for that this version does not do yet. Said, so that nobody relies on it. */
import type { Destination } from '../core/types.js'
import type { Values } from './schema.js'

/** `written` has the keys that somebody wrote: a default promises nothing. */
export function notesOn(values: Values, written: ReadonlySet<string>): string[] {
  const { mirrors, infrastructure, allow } = values
  return [
    ...switchedOn(values, written),
    ...allow.filter((rule) => rule.units !== undefined).map(({ name }) => `allow "${name}": ${UNITS}`),
    ...allow.flatMap(({ name, to }) => wildcards(`allow "${name}"`, to)),
    ...wildcards('mirrors.hosts', mirrors.hosts),
    ...(infrastructure.ntp === 'auto' ? [] : wildcards('infrastructure.ntp', infrastructure.ntp)),
  ]
}

const UNITS = 'units are not told apart in this version, so the rule allows nothing'

function switchedOn({ dns, mirrors, containment }: Values, written: ReadonlySet<string>): string[] {
  const wanted: [boolean, string][] = [
    [
      dns.holdAnswers && written.has('dns.holdAnswers'),
      'dns.holdAnswers: answers are not held in this version',
    ],
    [dns.enforceNames, 'dns.enforceNames: names are not enforced in this version'],
    [mirrors.discover && written.has('mirrors.discover'), `mirrors.discover: ${DISCOVER}`],
    [
      containment.action === 'quarantine',
      'containment.action: this version only alerts, nobody is quarantined',
    ],
  ]
  return wanted.filter(([isWanted]) => isWanted).map(([, note]) => note)
}

const DISCOVER = 'mirrors are not found automatically in this version: name them in mirrors.hosts'

/** A wildcard has no addresses until an answer of a resolver shows some. */
function wildcards(where: string, destinations: readonly Destination[]): string[] {
  return destinations
    .filter((destination) => destination.kind === 'wildcard')
    .map(({ domain }) => `${where}: the wildcard *.${domain} allows nothing in this version: name the hosts`)
}
