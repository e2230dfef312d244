/** Defines what is known of a resolver that runs on this host. */
import type { Destination } from '../../core/packet/ip.js'
import { DNS_PORT } from '../../core/policy/infrastructure-rules.js'
import type { Origin } from '../../core/policy/origin.js'
import type { Files } from '../mirrors/file-reader.js'
import type { Placed } from '../placed.js'
import { otherServer } from '../server-address.js'

/** The port of DNS over TLS (RFC 7858). */
export const DNS_TLS_PORT = 853

/** A server that a resolver of this host sends queries to. */
export interface Upstream {
  readonly place: Destination
  readonly port: number
  /** Whether the queries go over TLS or HTTPS, so that only TCP is used. */
  readonly isTls: boolean
}

/** A resolver that has its files on this host. */
export interface LocalResolver {
  /** The name by which the operator knows it. */
  readonly program: string
  readonly upstreams: readonly Placed<Upstream>[]
  /** Why it may ask other servers than those, to follow its name; undefined: it asks those only. */
  readonly gap?: string | undefined
  /** The file that says so, or should. */
  readonly origin: Origin
}

/** Reads the files of one resolver; undefined when it has none. */
export type ReadResolver = (files: Files) => LocalResolver | undefined

export const RECURSES = 'asks the name servers of each zone itself'
export const NAMES_NONE = 'has no server in its files'
export const UNREADABLE = 'has a file that this user may not read'

/** The address of a server as a program writes it, and its own port. */
export interface WrittenUpstream {
  readonly host: string
  readonly port?: number | undefined
  readonly isTls?: boolean | undefined
}

/** Returns an upstream with its origin; none when it is this host itself, or makes no sense. */
export function placedUpstream(written: WrittenUpstream, origin: Origin): Placed<Upstream>[] {
  const { host, isTls = false, port = isTls ? DNS_TLS_PORT : DNS_PORT } = written
  const place = otherServer(host)
  return place ? [{ value: { place, port, isTls }, origin }] : []
}
