/** What a configuration asks for that this version does not do yet. Said, so that nobody relies on it. */
import type { Values } from './schema.js'

export function notesOn({ allow, containment }: Values): string[] {
  const units = allow
    .filter((rule) => rule.units !== undefined)
    .map(({ name }) => `allow "${name}": ${UNITS}`)
  return containment.action === 'quarantine' ? [...units, QUARANTINE] : units
}

const UNITS = 'units are not told apart in this version, so the rule allows nothing'
const QUARANTINE = 'containment.action: this version only alerts, nobody is quarantined'
