/** Formats of ports, services, destinations, endpoints and users. */

import { formatAddress } from '../core/packet/address-text.js'
import { type Address, type Destination, isLoopback, type PortRange, type Prefix } from '../core/packet/ip.js'
import type { UserLookup } from '../system/users.js'
import { isMapping } from '../text/json.js'
import { parseAddress, parseDestination, parseHostName, parsePrefix } from '../text/parse-address.js'
import { type Parsed, unparsable } from '../text/parsed.js'
import { choice, count, fieldsOf, listOf, text } from './formats.js'
import type { ConfigLocation, Format } from './location.js'
import { quote } from './problems.js'
import type { Callback, ConfiguredDestination, Endpoint, Listen, Service } from './types.js'

/**
 * Returns the format of a text that `parse` reads. A message is the quoted text and the reason of `parse`.
 */
function parsed<T>(what: string, parse: (text: string) => Parsed<T>): Format<T> {
  return text(what, (written, location) => {
    const result = parse(written)
    return result.ok ? result.value : location.fail(`${quote(written)} ${result.reason}`)
  })
}

/**
 * Words that other firewalls have for every address. As host names they would allow nothing, without a word.
 */
const EVERYTHING = /^(?:all|any|anywhere|everything|everywhere|world|internet)$/i

/** The format of a host name, wildcard, address or prefix. */
export const destination: Format<Destination> = parsed('a host name, an address or a prefix', (written) =>
  EVERYTHING.test(written)
    ? unparsable('is no destination: name the hosts, or write 0.0.0.0/0 and "::/0" for every address')
    : parseDestination(written),
)
/** The format of a destination that keeps its origin. */
export const configuredDestination: Format<ConfiguredDestination> = (value, location) => {
  const parsed = destination(value, location)
  return parsed && { ...parsed, origin: location.origin }
}

/** The format of an address or a prefix. */
export const prefix: Format<Prefix> = parsed('an address or a prefix', parsePrefix)

/** The format of a port from 1 to 65535. Port 0 is reserved. */
export const port: Format<number> = (value, location) =>
  isPort(value) ? value : location.fail(`must be a port from 1 to 65535, not ${quote(value)}`)

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
}

/** The format of a port, or of a range in text: "1024-65535". */
export const portRange: Format<PortRange> = (value, location) => {
  const range = typeof value === 'string' ? /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(value) : null
  const first = range ? Number(range[1]) : value
  const last = range?.[2] === undefined ? first : Number(range[2])
  if (!isPort(first) || !isPort(last)) {
    return location.fail(`must be a port from 1 to 65535, or a range like "1024-65535", not ${quote(value)}`)
  }
  return first <= last
    ? { first, last }
    : location.fail(`is a range from high to low: write "${last}-${first}"`)
}

/** The format of one port or range, or a list of ports and ranges. */
export const ports: Format<readonly PortRange[]> = (value, location) => {
  if (Array.isArray(value)) return listOf(portRange, '[443]')(value, location)
  const range = portRange(value, location)
  return range && [range]
}

/** The format of a protocol with ports. */
export const transport = choice('tcp', 'udp')

/** The format of a service: "tcp/80", or a mapping of port and protocol. */
export const service: Format<Service> = (value, location) => {
  if (isMapping(value)) {
    const fields = fieldsOf(value, location, ['port', 'protocol'])
    const number = fields?.required('port', port)
    const protocol = fields?.required('protocol', transport)
    return number === undefined || protocol === undefined ? undefined : { protocol, port: number }
  }
  const match = typeof value === 'string' ? /^(tcp|udp)\/(\d{1,9})$/.exec(value) : null
  if (match === null) return location.fail(`must be a service like tcp/80 or udp/443, not ${quote(value)}`)
  const number = port(Number(match[2]), location)
  return number === undefined ? undefined : { protocol: match[1] as Service['protocol'], port: number }
}

/** The format of an item in a list of services: a service, or `auto` for those that are found. */
export const serviceOrAuto: Format<Service | 'auto'> = (value, location) =>
  value === 'auto' ? value : service(value, location)

/**
 * Default of `perSession`: enough for the files of an FTP session, and too few to scan all ports. Few for
 * UDP, because an attacker can forge the address of a client.
 */
const CALLBACKS_PER_SESSION = { tcp: 256, udp: 4 } as const

/**
 * The format of a callback: connections that this host may open to a client of one of its services, such as
 * the data connection of active FTP. A service that is a bare port has the protocol of the callback.
 */
export const callback: Format<Callback> = (value, location) => {
  const fields = fieldsOf(value, location, ['service', 'protocol', 'ports', 'perSession'])
  const protocol = fields?.required('protocol', transport)
  const from = fields?.required('service', serviceOf(protocol ?? 'tcp'))
  const to = fields?.required('ports', ports)
  const limit = fields?.optional('perSession', count(1, 65535))
  if (from === undefined || protocol === undefined || to === undefined) return undefined
  return { service: from, protocol, ports: to, perSession: limit ?? CALLBACKS_PER_SESSION[from.protocol] }
}

function serviceOf(protocol: Service['protocol']): Format<Service> {
  return (value, location) => {
    if (typeof value !== 'number') return service(value, location)
    const number = port(value, location)
    return number === undefined ? undefined : { protocol, port: number }
  }
}

/** Splits `host:port`; an IPv6 address is in brackets. Returns undefined when the text has another form. */
function splitHostPort(written: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,9})$/.exec(written)
  if (match === null) return undefined
  return { host: match[1] ?? match[2]!, port: Number(match[3]) }
}

/** The format of an address or host name, and a port, to listen on. */
export const listen: Format<Listen> = text(
  'an address and a port, like "127.0.0.1:17671"',
  (written, location) => {
    const halves = splitHostPort(written)
    if (halves === undefined)
      return location.fail(
        `must be an address and a port, like "127.0.0.1:17671" or "[::1]:17671", not ${quote(written)}`,
      )
    if (halves.host === '' || halves.host === '*') {
      return location.fail(
        `names no address: write "0.0.0.0:${halves.port}" or "[::]:${halves.port}" for all of them`,
      )
    }
    if (!isAddressOrName(halves.host, location)) return undefined
    return port(halves.port, location) === undefined ? undefined : halves
  },
)

function isAddressOrName(host: string, location: ConfigLocation): boolean {
  if (parseAddress(host).ok) return true
  const name = parseHostName(host)
  if (!name.ok) location.fail(`${quote(host)} ${name.reason}`)
  return name.ok
}

/**
 * The format of an address and a port to connect to. Names are refused, because their look-up would be
 * traffic, too.
 */
export const endpoint: Format<Endpoint> = text(
  'an address and a port, like "192.0.2.1:9"',
  (written, location) => {
    const halves = splitHostPort(written)
    const address = parseAddress(halves?.host ?? '')
    if (halves === undefined || !address.ok) {
      return location.fail(
        `must be an address and a port, like "192.0.2.1:9" or "[2001:db8::1]:9", not ${quote(written)}`,
      )
    }
    const { family, words } = address.value
    if (isOfThisHost(address.value))
      return location.fail('is an address of this host, and such traffic is never judged: take one outside')
    if (port(halves.port, location) === undefined) return undefined
    return { host: formatAddress(family, words), port: halves.port, family, words }
  },
)

/** Says whether an address is a loopback address, or in 0.0.0.0/8 or ::, which Linux treats as this host on connect. */
function isOfThisHost(address: Address): boolean {
  const { family, words } = address
  if (isLoopback(address)) return true
  return family === 4 ? words[0]! >>> 24 === 0 : words.every((word) => word === 0)
}

/** Returns the format of a user: a name of this host, or a uid, which needs no name. */
export function user(lookup: UserLookup): Format<number> {
  return (value, location) => {
    if (typeof value !== 'string' && typeof value !== 'number')
      return location.fail(`must be a user, not ${quote(value)}`)
    const uid = lookup(String(value))
    if (uid !== undefined) return uid
    return location.fail(`there is no user ${quote(value)} on this host: create it, or correct the name`)
  }
}

/** Returns the format of a list of users. */
export function users(lookup: UserLookup): Format<readonly number[]> {
  return listOf(user(lookup), '[www-data]')
}

/**
 * Returns the format of a list of users whose default names users that not every distribution has: these are
 * left out.
 */
export function usersOrDefault(lookup: UserLookup): Format<readonly number[]> {
  return (value, location) => {
    if (location.written || !Array.isArray(value)) return users(lookup)(value, location)
    return value.map((name) => lookup(name)).filter((uid) => uid !== undefined)
  }
}
