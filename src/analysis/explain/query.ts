/** Reads a query of `explain`, from a command line or from a request to the service. */
import { isIP } from 'node:net'
import { isUnitName } from '../../core/packet/cgroup-path.js'
import type { Address } from '../../core/packet/ip.js'
import { parseAddress, parseHostName } from '../../text/parse-address.js'
import { type Parsed, parsed, unparsable } from '../../text/parsed.js'

export const PROTOCOLS = ['tcp', 'udp', 'icmp'] as const

export interface Query {
  readonly protocol: (typeof PROTOCOLS)[number]
  /** The destination: an address, or a host name. */
  readonly host: Address | string
  /** undefined for ICMP. */
  readonly port: number | undefined
  /** undefined: a user that no rule names. */
  readonly uid: number | undefined
  readonly unit: string | undefined
  /** The source port; undefined: one that the kernel chooses. */
  readonly fromPort: number | undefined
  /** The name in a DNS query to a resolver. */
  readonly name: string | undefined
}

/** The fields of a query as texts, as in a request: `/v1/explain?protocol=tcp&to=192.0.2.7:443&uid=33`. */
export const FIELDS = ['protocol', 'to', 'uid', 'unit', 'from-port', 'question'] as const
export type Fields = Readonly<Partial<Record<(typeof FIELDS)[number], string>>>

/** @returns the query, or a sentence on what is wrong with it */
export function readQuery(fields: Fields): Parsed<Query> {
  const protocol = PROTOCOLS.find((each) => each === fields.protocol)
  if (protocol === undefined)
    return unparsable(`the protocol is tcp, udp or icmp, not ${quoted(fields.protocol)}`)
  const to = readTarget(protocol, fields.to ?? '')
  if (!to.ok) return to
  const fromPort = readNumber(fields['from-port'], 'the source port', 1, 65535)
  if (!fromPort.ok) return fromPort
  if (protocol === 'icmp' && fromPort.value !== undefined)
    return unparsable('icmp has no ports: leave --from-port out')
  const uid = readNumber(fields.uid, 'the user id', 0, 0xfffffffe)
  if (!uid.ok) return uid
  const name = readName(protocol, to.value.port, fields.question)
  if (!name.ok) return name
  const unit = readUnit(fields.unit)
  if (!unit.ok) return unit
  return parsed({
    protocol,
    ...to.value,
    uid: uid.value,
    unit: unit.value,
    fromPort: fromPort.value,
    name: name.value,
  })
}

type Target = Pick<Query, 'host' | 'port'>

/** Reads a destination: `api.example.org:443`, `[2001:db8::7]:443`, or a host without a port for ICMP. */
function readTarget(protocol: Query['protocol'], text: string): Parsed<Target> {
  const bare = isIP(text) === 6
  const match = bare ? undefined : /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,9}))?$/.exec(text)
  if (match === null) return unparsable(`${quoted(text)} ${strange(text)}`)
  const host = readHost(match?.[1] ?? match?.[2] ?? text)
  if (!host.ok) return host
  if (protocol === 'icmp') {
    if (match?.[3] !== undefined) return unparsable('icmp has no ports: give the host alone')
    return parsed({ host: host.value, port: undefined })
  }
  if (match === undefined)
    return unparsable(`write an IPv6 address in brackets, and the port after it: [${text}]:443`)
  if (match[3] === undefined)
    return unparsable(`the port is missing: write it after the host, like ${text}:443`)
  const port = readNumber(match[3], 'the port', 1, 65535)
  return port.ok ? parsed({ host: host.value, port: port.value }) : port
}

/** Says why a text is no destination. */
function strange(text: string): string {
  const url = parseHostName(text)
  if (!url.ok && url.reason.startsWith('is a URL')) return `${url.reason}, and the port after it`
  return 'is not a host and a port: write api.example.org:443, 192.0.2.7:443 or [2001:db8::7]:443'
}

function readHost(text: string): Parsed<Address | string> {
  const isAddress = isIP(text) !== 0 || text.includes(':')
  const host = isAddress ? parseAddress(text) : parseHostName(text)
  return host.ok ? host : unparsable(`${quoted(text)} ${host.reason}`)
}

function readNumber(
  text: string | undefined,
  what: string,
  min: number,
  max: number,
): Parsed<number | undefined> {
  if (text === undefined) return parsed(undefined)
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return parsed(number)
  return unparsable(`${what} is a number from ${min} to ${max}, not ${quoted(text)}`)
}

function readName(
  protocol: Query['protocol'],
  port: number | undefined,
  text: string | undefined,
): Parsed<string | undefined> {
  if (text === undefined) return parsed(undefined)
  if (protocol === 'icmp' || port !== 53)
    return unparsable('a DNS query goes to port 53 of a resolver: explain udp 192.0.2.53:53 --question NAME')
  const name = text.replace(/\.$/, '').toLowerCase()
  // The check is not as strict as for a host name: names of services begin with an underscore.
  if (name.length <= 253 && name.split('.').every((label) => /^[a-z0-9_-]{1,63}$/.test(label)))
    return parsed(name)
  return unparsable(`${quoted(text)} is not a name for a DNS query`)
}

function readUnit(text: string | undefined): Parsed<string | undefined> {
  if (text === undefined) return parsed(undefined)
  if (isUnitName(text)) return parsed(text)
  return unparsable(`${quoted(text)} is not a unit of systemd: write its whole name, like nginx.service`)
}

const quoted = (text = '') => JSON.stringify(text)
