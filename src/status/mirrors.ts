/** Every place from which updates may come: where it was found, the addresses that it has, and until when. */
import { formatDestination, parseDestination } from '../addressing.js'
import type { Config } from '../config.js'
import { addressText } from '../core/text.js'
import type { Origin, PortRange } from '../core/types.js'
import type { FoundMirror } from '../mirrors/discovery/found.js'
import type { Target } from '../mirrors/message.js'

export interface AddressStatus {
  /** The name that has it, where that is not the mirror's own: one below a wildcard. */
  readonly name?: string
  readonly address: string
  /** RFC 3339. In the past: no resolver has said anything newer, so that the last good answer stands. */
  readonly until: string
}

export interface MirrorStatus {
  /** A name, a wildcard, an address or a prefix. */
  readonly host: string
  /** `80`, `8000-8080`. */
  readonly ports: readonly string[]
  /** The package manager whose file names it; undefined where the configuration does. */
  readonly manager?: string
  /** The SRV name that led here. */
  readonly service?: string
  /** `file:line` */
  readonly found: string
  /** None where it is an address itself, or none is known. */
  readonly addresses: readonly AddressStatus[]
}

/** A known address of a name: milliseconds since the epoch. */
interface Known {
  readonly host: Parameters<typeof textOf>[0]
  readonly expires: number
}

/** What is known of names. */
export interface Knowledge {
  readonly targets: (service: string) => readonly Target[]
  readonly addresses: (name: string) => readonly Known[]
  /** All names that have addresses. */
  readonly names: () => Iterable<string>
}

export function listMirrors(
  { mirrors }: Pick<Config, 'mirrors'>,
  found: readonly FoundMirror[],
  knowledge: Knowledge,
): MirrorStatus[] {
  const configured = mirrors.hosts.map((destination) => ({
    host: formatDestination(destination),
    ports: mirrors.ports.map(portText),
    found: originText(destination.origin),
  }))
  const listed = found.flatMap(({ host, port, service, manager, origin }) => {
    const base = { manager, found: originText(origin) }
    const moved = service === undefined ? [] : knowledge.targets(service)
    return [
      { ...base, host, ports: [String(port)] },
      ...moved.map((target) => ({ ...base, host: target.name, ports: [String(target.port)], service })),
    ]
  })
  return [...configured, ...listed].map((each) => ({ ...each, addresses: addressesOf(each.host, knowledge) }))
}

/** Whether a mirror is named by its address, or by a prefix: then there is nothing to look up. */
export function isAddress(host: string): boolean {
  const destination = parseDestination(host)
  return destination.ok && destination.value.kind === 'prefix'
}

export const isWildcard = (host: string) => host.startsWith('*.')

function addressesOf(host: string, { addresses, names }: Knowledge): AddressStatus[] {
  if (!isWildcard(host)) return addresses(host).map(statusOf)
  const below = [...names()].filter((name) => name.endsWith(host.slice(1)))
  return below.flatMap((name) => addresses(name).map((known) => ({ name, ...statusOf(known) })))
}

const statusOf = ({ host, expires }: Known): AddressStatus => ({
  address: textOf(host),
  until: new Date(expires).toISOString(),
})

const textOf = ({ family, words }: { family: 4 | 6; words: Uint32Array }) => addressText(family, words)
const portText = ({ first, last }: PortRange) => (first === last ? String(first) : `${first}-${last}`)
const originText = ({ file, line }: Origin) => (line === undefined ? file : `${file}:${line}`)
