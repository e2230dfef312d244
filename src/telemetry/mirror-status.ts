/** Lists the mirrors: where each was found, its addresses, and how long they are valid. */
import { setImmediate } from 'node:timers/promises'
import type { Config } from '../config/config.js'
import { formatAddress, formatPortRange } from '../core/packet/address-text.js'
import { originText } from '../core/policy/origin.js'
import type { Mirror } from '../host/mirrors/mirror.js'
import type { Target } from '../names/dns/answer-reader.js'
import { formatDestination, parseDestination } from '../text/parse-address.js'

export interface AddressStatus {
  /** The name that has the address, when the mirror is a wildcard. */
  readonly name?: string
  readonly address: string
  /** End of validity, RFC 3339. In the past: no newer answer came, and the last good one serves. */
  readonly until: string
}

export interface MirrorStatus {
  /** A name, a wildcard, an address or a prefix. */
  readonly host: string
  /** `80`, `8000-8080`. */
  readonly ports: readonly string[]
  /** The package manager whose file names the mirror; undefined when the configuration names it. */
  readonly manager?: string
  /** The SRV name that led here. */
  readonly service?: string
  /** `file:line` */
  readonly found: string
  /** Known addresses; empty when `host` is an address or a prefix. */
  readonly addresses: readonly AddressStatus[]
  /** Number of further known addresses. */
  readonly more?: number
}

export interface MirrorList {
  readonly mirrors: readonly MirrorStatus[]
  /** Number of further mirrors. */
  readonly moreMirrors: number
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
  /** All names that have addresses now: a snapshot. */
  readonly names: () => readonly string[]
}

type MirrorRow = Omit<MirrorStatus, 'addresses' | 'more'>

/** Limits that keep an answer below half a megabyte: it is made on the thread that judges packets. */
const MIRRORS_AT_MOST = 1000
const ADDRESSES_AT_MOST = 2000
/** Steps without a pause; then packets have their turn. */
const SLICE = 250

/** Returns a function that counts steps, and pauses after each slice so that packets are judged. */
function slices(): () => Promise<void> | undefined {
  let done = 0
  return () => (++done % SLICE === 0 ? setImmediate() : undefined)
}

export async function listMirrors(
  { mirrors: { hosts, ports } }: Pick<Config, 'mirrors'>,
  found: readonly Mirror[],
  knowledge: Knowledge,
): Promise<MirrorList> {
  const configured = hosts.slice(0, MIRRORS_AT_MOST).map((destination) => ({
    host: formatDestination(destination),
    ports: ports.map(formatPortRange),
    found: originText(destination.origin),
  }))
  const listed = found.slice(0, MIRRORS_AT_MOST).flatMap((mirror) => placesOf(mirror, knowledge))
  const all = [...configured, ...listed]
  const places = all.slice(0, MIRRORS_AT_MOST)
  const below = await namesBelow(places, knowledge)
  const mirrors: MirrorStatus[] = []
  for (let remaining = ADDRESSES_AT_MOST; mirrors.length < places.length; ) {
    const mirror = await withAddresses(places[mirrors.length]!, below, knowledge, remaining)
    remaining -= mirror.addresses.length
    mirrors.push(mirror)
  }
  const left = Math.max(hosts.length - configured.length, 0) + Math.max(found.length - MIRRORS_AT_MOST, 0)
  return { mirrors, moreMirrors: all.length - places.length + left }
}

/** Returns a row for a mirror, and one for each target of its SRV name. */
function placesOf({ host, port, service, manager, origin }: Mirror, { targets }: Knowledge): MirrorRow[] {
  const base = { manager, found: originText(origin) }
  const own = { ...base, host, ports: [String(port)] }
  if (service === undefined) return [own]
  const at = (target: Target) => ({ ...base, host: target.name, ports: [String(target.port)], service })
  return [own, ...targets(service).map(at)]
}

/** Finds the known names below each wildcard. There may be tens of thousands. */
async function namesBelow(
  places: readonly MirrorRow[],
  { names }: Knowledge,
): Promise<Map<string, string[]>> {
  const below = new Map<string, string[]>()
  for (const { host } of places) if (isWildcard(host)) below.set(host, [])
  if (below.size === 0) return below
  const looked = slices()
  for (const name of names()) {
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
      below.get(`*${name.slice(dot)}`)?.push(name)
    await looked()
  }
  return below
}

/** Adds known addresses to a row: as many as remain, and at least one. */
async function withAddresses(
  place: MirrorRow,
  below: ReadonlyMap<string, readonly string[]>,
  { addresses }: Knowledge,
  remaining: number,
): Promise<MirrorStatus> {
  const names = below.get(place.host)
  const listed: AddressStatus[] = []
  const looked = slices()
  let more = 0
  for (const name of names ?? [place.host]) {
    for (const known of addresses(name)) {
      if (listed.length >= Math.max(remaining, 1)) more++
      else listed.push({ ...(names && { name }), ...statusOf(known) })
    }
    await looked()
  }
  return { ...place, addresses: listed, ...(more > 0 && { more }) }
}

/** Whether a mirror is an address or a prefix, which needs no look-up. */
export function isAddress(host: string): boolean {
  const destination = parseDestination(host)
  return destination.ok && destination.value.kind === 'prefix'
}

export const isWildcard = (host: string) => host.startsWith('*.')

const statusOf = ({ host, expires }: Known): AddressStatus => ({
  address: textOf(host),
  until: new Date(expires).toISOString(),
})

const textOf = ({ family, words }: { family: 4 | 6; words: Uint32Array }) => formatAddress(family, words)
