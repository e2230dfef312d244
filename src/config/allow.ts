/** The format of the operator's own rules. */

import { isUnitName } from '../core/packet/cgroup-path.js'
import type { PortRange } from '../core/packet/ip.js'
import { BUILT_IN_RULES } from '../core/policy/built-in-rules.js'
import { originText } from '../core/policy/origin.js'
import type { UserLookup } from '../system/users.js'
import { choice, fieldsOf, listOf, listOrNone, text } from './formats.js'
import type { ConfigLocation, Format } from './location.js'
import { destination, ports, users } from './network.js'
import { quote } from './problems.js'
import type { AllowEntry } from './types.js'

const KEYS = ['name', 'to', 'ports', 'protocol', 'users', 'units', 'whenSilent', 'expires'] as const

const ALL_PORTS: readonly PortRange[] = [{ first: 0, last: 65535 }]

/** Returns the format of `allow`: a list of rules. A name may be used once in all files. */
export function rules(lookup: UserLookup): Format<readonly AllowEntry[]> {
  const list = listOrNone(rule(lookup), '[{ name: api, to: [api.example.org] }]')
  return (value, location) => {
    const entries = list(value, location)
    if (Array.isArray(value)) refuseSameNames(value, location)
    return entries
  }
}

function refuseSameNames(entries: readonly unknown[], location: ConfigLocation): void {
  const firstUses = new Map<string, ConfigLocation>()
  for (const [index, entry] of entries.entries()) {
    const name = (entry as { name?: unknown } | null)?.name
    if (typeof name !== 'string') continue
    const here = location.at(index).at('name')
    const first = firstUses.get(name)
    if (first === undefined) firstUses.set(name, here)
    else here.fail(`${quote(name)} is the name of another rule already, at ${locationText(first)}`)
  }
}

function locationText({ origin, key }: ConfigLocation): string {
  return origin.line === undefined ? key : originText(origin)
}

/** Returns the format of one rule. */
export function rule(lookup: UserLookup): Format<AllowEntry> {
  return (value, location) => {
    const fields = fieldsOf(value, location, KEYS)
    if (fields === undefined) return undefined
    const name = fields.required('name', ruleName)
    const to = fields.required('to', listOf(destination, '[api.example.org]'))
    const protocol = fields.optional('protocol', choice('tcp', 'udp', 'icmp', 'any')) ?? 'tcp'
    const portList = fields.optional('ports', ports)
    if (portList && protocol === 'icmp') location.at('ports').fail('icmp has no ports: leave this out')
    const rest = {
      users: fields.optional('users', users(lookup)),
      units: fields.optional('units', listOf(unit, '[nginx.service]')),
      whenSilent: fields.optional('whenSilent', choice('users', 'closed', 'open')),
      expires: fields.optional('expires', instant),
    }
    if (rest.whenSilent === 'users' && rest.units !== undefined && rest.users === undefined)
      location
        .at('whenSilent')
        .fail('falls back to the users of the rule: name them in `users`, or write `open`')
    if (name === undefined || to === undefined) return undefined
    return { name, to, ports: portList ?? ALL_PORTS, protocol, ...rest, origin: location.origin }
  }
}

const RESERVED: ReadonlySet<string> = new Set(BUILT_IN_RULES)

/** The name of a rule. It appears in the log and in metrics, so it is short and of plain characters. */
const ruleName: Format<string> = text('a name', (name, location) => {
  if (RESERVED.has(name))
    return location.fail(`${quote(name)} is the name of a built-in rule: choose another`)
  if (/^[a-z0-9][a-z0-9 ._-]{0,63}$/i.test(name)) return name
  return location.fail(
    `must be 1 to 64 letters, digits, spaces, dots, hyphens or underscores, with a letter or digit first, not ${quote(name)}`,
  )
})

const unit: Format<string> = text('a systemd unit', (name, location) => {
  if (isUnitName(name)) return name
  const meant = /^[\w:\\@-]+$/.test(name) ? `${name}.service` : 'nginx.service'
  return location.fail(`must be a systemd unit with its type, like ${meant}, not ${quote(name)}`)
})

/**
 * An instant in milliseconds since 1970, from an ISO 8601 date (its beginning in UTC), or a date and time
 * with a zone.
 */
const instant: Format<number> = text('a date and time', (written, location) => {
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/i.exec(
    written,
  )
  const example = '2027-01-31 or 2027-01-31T18:00:00Z'
  if (match === null) return location.fail(`must be a date, like ${example}, not ${quote(written)}`)
  if (written.length > 10 && match[2] === undefined) {
    return location.fail(
      `has no time zone: write ${written.replace(' ', 'T')}Z for UTC, or an offset such as +02:00`,
    )
  }
  const time = Date.parse(written.toUpperCase().replace(' ', 'T'))
  // Date.parse takes February 30 for March 2.
  const day = Date.parse(`${match[1]}T00:00:00Z`)
  const exists = !Number.isNaN(time) && new Date(day).toISOString().startsWith(match[1]!)
  return exists ? time : location.fail(`is no date of the calendar: ${quote(written)}`)
})
