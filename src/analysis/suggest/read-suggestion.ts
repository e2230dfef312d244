/** Reads the JSON of suggestion-json.ts. It may come from a host that is not trusted: every value is checked. */
import { isUnitName } from '../../core/packet/cgroup-path.js'
import { isMapping, parseJson } from '../../text/json.js'
import { parseAddress, parseHostName } from '../../text/parse-address.js'
import { type Evidence, newEvidence } from '../recorded/recorded-kinds.js'
import { type LeftOut, OBSTACLES, type Obstacle } from './candidates.js'
import type { EntryPart } from './entries.js'
import type { HostEntry, HostSuggestion } from './merge-hosts.js'
import type { SuspectEntries } from './suggestion.js'

/** Maximum number of parts of all entries: a log has fewer. */
const PARTS_AT_MOST = 32_768

class NotASuggestion extends Error {}

/**
 * Reads the suggestion of a host.
 * @returns why it is none, when it is none: `allow[0].parts[1].place is no host name or address`
 */
export function readSuggestion(host: string, text: string): HostSuggestion | string {
  try {
    return suggestionOf(host, new Field('', parseJson(text)))
  } catch (error) {
    if (error instanceof NotASuggestion) return error.message
    throw error
  }
}

function suggestionOf(host: string, root: Field): HostSuggestion {
  const entries = root.at('allow').each(hostEntry)
  if (entries.reduce((sum, { parts }) => sum + parts.length, 0) > PARTS_AT_MOST)
    root.at('allow').fail('has more than a log can hold')
  return {
    host,
    evidence: evidenceOf(root),
    entries,
    suspects: root.at('suspects').each(suspect),
    leftOut: leftOutOf(root.at('notSuggested')),
    notes: root.at('notes').each((note) => note.text()),
  }
}

const hostEntry = (field: Field): HostEntry => ({
  name: field.at('entry').at('name').text(),
  protocol: field.at('entry').at('protocol').oneOf(['tcp', 'udp', 'icmp', 'any']),
  isGuess: field.at('isGuess').isTrue(),
  isForMirrors: field.at('isForMirrors').isTrue(),
  kernelServices: field.at('ofKernel').each((service) => service.text()),
  someUnits: field.at('someUnits').each(unit),
  parts: field.at('parts').each(part),
})

const part = (field: Field): EntryPart => ({
  ...evidenceOf(field),
  place: place(field.at('place')),
  port: field.at('port').optional((port) => port.number(1, 65_535)),
  user: field.at('user').optional(user),
  unit: field.at('unit').optional(unit),
})

function place(field: Field): string {
  const text = field.text()
  const isPlace = parseAddress(text).ok || parseHostName(text).ok
  return isPlace ? text : field.fail('is no host name or address')
}

const user = (field: Field): string | number =>
  typeof field.value === 'number' ? field.number(0, 0xfffffffe) : field.text()

function unit(field: Field): string {
  const name = field.text()
  return isUnitName(name) ? name : field.fail('is no unit')
}

function suspect(field: Field): SuspectEntries {
  const optional = (key: string) => field.at(key).optional((text) => text.text())
  return {
    ...evidenceOf(field),
    who: { uid: undefined, user: whoOf(field), unit: optional('unit'), container: optional('container') },
    destinations: field.at('destinations').number(),
    window: field.at('window').text(),
    time: field.at('time').time(),
    entries: [],
  }
}

const whoOf = (field: Field): string | undefined =>
  field.at('user').optional((name) => name.text()) ?? field.at('uid').optional((uid) => String(uid.number()))

function leftOutOf(field: Field): Map<Obstacle, LeftOut> {
  const found = new Map<Obstacle, LeftOut>()
  for (const why of OBSTACLES) {
    const left = field.at(why)
    if (left.value === undefined) continue
    const about = left
      .at('about')
      .entries()
      .map(([what, count]) => [what, count.number()] as const)
    found.set(why, { blocks: left.at('blocks').number(), about: new Map(about) })
  }
  return found
}

function evidenceOf(field: Field): Evidence {
  const blocks = field.at('blocks').number()
  const programs = field.at('programs').each((program) => program.text())
  if (blocks === 0) return { ...newEvidence(), programs }
  return { blocks, first: field.at('first').time(), last: field.at('last').time(), programs }
}

/** A value, and its place in the JSON. Each reader throws NotASuggestion when the value is of another kind. */
class Field {
  constructor(
    private readonly path: string,
    readonly value: unknown,
  ) {}

  at(key: string): Field {
    if (!isMapping(this.value)) return this.fail('is no object')
    const value = Object.hasOwn(this.value, key) ? this.value[key] : undefined
    return new Field(this.path === '' ? key : `${this.path}.${key}`, value)
  }

  optional<T>(read: (field: Field) => T): T | undefined {
    return this.value === undefined ? undefined : read(this)
  }

  /** Reads a list; a missing one is empty. */
  each<T>(read: (field: Field) => T): T[] {
    const { value = [] } = this
    if (!Array.isArray(value)) return this.fail('is no list')
    return value.map((each, index) => read(new Field(`${this.path}[${index}]`, each)))
  }

  entries(): [string, Field][] {
    if (!isMapping(this.value)) return this.fail('is no object')
    return Object.entries(this.value).map(([key, value]) => [key, new Field(`${this.path}.${key}`, value)])
  }

  text(): string {
    return typeof this.value === 'string' && this.value !== '' ? this.value : this.fail('is no text')
  }

  number(min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const { value } = this
    const fits = typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
    return fits ? value : this.fail('is no number that it can be')
  }

  oneOf<const Word extends string>(words: readonly Word[]): Word {
    return words.find((word) => word === this.value) ?? this.fail(`is none of ${words.join(', ')}`)
  }

  /** Reads a time. @returns milliseconds since the epoch */
  time(): number {
    const time = Date.parse(this.text())
    return Number.isNaN(time) ? this.fail('is no time') : time
  }

  isTrue(): boolean {
    return this.value === true
  }

  fail(what: string): never {
    throw new NotASuggestion(`${this.path === '' ? 'it' : this.path} ${what}`)
  }
}
