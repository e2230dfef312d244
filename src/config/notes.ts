/** What a configuration asks for that this version does not do yet. Said, so that nobody relies on it. */
import type { Values } from './schema.js'

export const notesOn = ({ containment }: Values): string[] =>
  containment.action === 'quarantine' ? [QUARANTINE] : []

const QUARANTINE = 'containment.action: this version only alerts, nobody is quarantined'
