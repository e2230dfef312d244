/** The forms of what is on the network: ports, services, destinations, endpoints; and who uses it. */

import { formatAddress } from '../core/packet/address-text.js'
import { type Address, type Destination, isLoopback, type PortRange, type Prefix } from '../core/packet/ip.js'
import type { UserLookup } from '../system/users.js'
import { isMapping } from '../text/json.js'
import { parseAddress, parseDestination, parseHostName, parsePrefix } from '../text/parse-address.js'
import type { Parsed } from '../text/parsed.js'
import { choice, count, fieldsOf, listOf, text } from './formats.js'
import type { ConfigLocation, Format } from './location.js'
import { quote } from './problems.js'
import type { Callback, Endpoint, Listen, PlacedDestination, Service } from './types.js'

/** `parse`, with its reason put behind the text it is about. */
function parsed<T>(what: string, parse: (text: string) => Parsed<T>): Format<T> {
  return text(what, (written, place) => {
    const result = parse(written)
    return result.ok ? result.value : place.fail(`${quote(written)} ${result.reason}`)
  })
}

export const destination: Format<Destination> = parsed(
  'a host name, an address or a prefix',
  parseDestination,
)
export const placedDestination: Format<PlacedDestination> = (value, place) => {
  const parsed = destination(value, place)
  return parsed && { ...parsed, origin: place.origin }
}

export const prefix: Format<Prefix> = parsed('an address or a prefix', parsePrefix)

/** From 1 to 65535: port 0 is on no wire. */
export const port: Format<number> = (value, place) =>
  isPort(value) ? value : place.fail(`must be a port from 1 to 65535, not ${quote(value)}`)

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
}

/** A port, or a range in text: "1024-65535". */
export const portRange: Format<PortRange> = (value, place) => {
  const range = typeof value === 'string' ? /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(value) : null
  const first = range ? Number(range[1]) : value
  const last = range?.[2] === undefined ? first : Number(range[2])
  if (!isPort(first) || !isPort(last)) {
    return place.fail(`must be a port from 1 to 65535, or a range like "1024-65535", not ${quote(value)}`)
  }
  return first <= last ? { first, last } : place.fail(`is a range from high to low: write "${last}-${first}"`)
}

/** One port or range, or a list of them. */
export const ports: Format<readonly PortRange[]> = (value, place) => {
  if (Array.isArray(value)) return listOf(portRange, '[443]')(value, place)
  const range = portRange(value, place)
  return range && [range]
}

export const transport = choice('tcp', 'udp')

/** "tcp/80", or a mapping of port and protocol. */
export const service: Format<Service> = (value, place) => {
  if (isMapping(value)) {
    const fields = fieldsOf(value, place, ['port', 'protocol'])
    const number = fields?.required('port', port)
    const protocol = fields?.required('protocol', transport)
    return number === undefined || protocol === undefined ? undefined : { protocol, port: number }
  }
  const match = typeof value === 'string' ? /^(tcp|udp)\/(\d{1,9})$/.exec(value) : null
  if (match === null) return place.fail(`must be a service like tcp/80 or udp/443, not ${quote(value)}`)
  const number = port(Number(match[2]), place)
  return number === undefined ? undefined : { protocol: match[1] as Service['protocol'], port: number }
}

/** Enough for the files of an FTP session, and no scan of all ports. A client of a UDP service may be forged. */
const CALLBACKS_A_SESSION = { tcp: 256, udp: 4 } as const

/**
 * What this host may start towards a client of one of its services, such as the data connection of active FTP. A service
 * that is a bare port is one of the same protocol.
 */
export const callback: Format<Callback> = (value, place) => {
  const fields = fieldsOf(value, place, ['service', 'protocol', 'ports', 'perSession'])
  const protocol = fields?.required('protocol', transport)
  const from = fields?.required('service', serviceOf(protocol ?? 'tcp'))
  const to = fields?.required('ports', ports)
  const limit = fields?.optional('perSession', count(1, 65535))
  if (from === undefined || protocol === undefined || to === undefined) return undefined
  return { service: from, protocol, ports: to, perSession: limit ?? CALLBACKS_A_SESSION[from.protocol] }
}

function serviceOf(protocol: Service['protocol']): Format<Service> {
  return (value, place) => {
    if (typeof value !== 'number') return service(value, place)
    const number = port(value, place)
    return number === undefined ? undefined : { protocol, port: number }
  }
}

/** The two halves of `host:port`; an IPv6 address is in brackets. */
function splitHostPort(written: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,9})$/.exec(written)
  if (match === null) return undefined
  return { host: match[1] ?? match[2]!, port: Number(match[3]) }
}

/** Where to listen: an address or `localhost`, and a port. */
export const listen: Format<Listen> = text(
  'an address and a port, like "127.0.0.1:17671"',
  (written, place) => {
    const halves = splitHostPort(written)
    if (halves === undefined)
      return place.fail(
        `must be an address and a port, like "127.0.0.1:17671" or "[::1]:17671", not ${quote(written)}`,
      )
    if (halves.host === '' || halves.host === '*') {
      return place.fail(
        `names no address: write "0.0.0.0:${halves.port}" or "[::]:${halves.port}" for all of them`,
      )
    }
    if (!isAddressOrName(halves.host, place)) return undefined
    return port(halves.port, place) === undefined ? undefined : halves
  },
)

function isAddressOrName(host: string, place: ConfigLocation): boolean {
  if (parseAddress(host).ok) return true
  const name = parseHostName(host)
  if (!name.ok) place.fail(`${quote(host)} ${name.reason}`)
  return name.ok
}

/** An address and a port to connect to. A name will not do: to look it up would be traffic of its own. */
export const endpoint: Format<Endpoint> = text(
  'an address and a port, like "192.0.2.1:9"',
  (written, place) => {
    const halves = splitHostPort(written)
    const address = parseAddress(halves?.host ?? '')
    if (halves === undefined || !address.ok) {
      return place.fail(
        `must be an address and a port, like "192.0.2.1:9" or "[2001:db8::1]:9", not ${quote(written)}`,
      )
    }
    const { family, words } = address.value
    if (isOfThisHost(address.value))
      return place.fail('is an address of this host, and such traffic is never judged: take one outside')
    if (port(halves.port, place) === undefined) return undefined
    return { host: formatAddress(family, words), port: halves.port, family, words }
  },
)

/** Loopback addresses; 0.0.0.0/8 and ::, to which Linux connects as if they were loopback. */
function isOfThisHost(address: Address): boolean {
  const { family, words } = address
  if (isLoopback(address)) return true
  return family === 4 ? words[0]! >>> 24 === 0 : words.every((word) => word === 0)
}

/** A user's name, or its number. The user must exist; a number need not have a name. */
export function user(lookup: UserLookup): Format<number> {
  return (value, place) => {
    if (typeof value !== 'string' && typeof value !== 'number')
      return place.fail(`must be a user, not ${quote(value)}`)
    const uid = lookup(String(value))
    if (uid !== undefined) return uid
    return place.fail(`there is no user ${quote(value)} on this host: create it, or correct the name`)
  }
}

export function users(lookup: UserLookup): Format<readonly number[]> {
  return listOf(user(lookup), '[www-data]')
}

/** The same for a default, which names users that only some distributions have: those that are missing are left out. */
export function usersOrDefault(lookup: UserLookup): Format<readonly number[]> {
  return (value, place) => {
    if (place.written || !Array.isArray(value)) return users(lookup)(value, place)
    return value.map((name) => lookup(name)).filter((uid) => uid !== undefined)
  }
}
