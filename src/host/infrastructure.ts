/** Finds the resolvers and time servers that the host's own files name, and the users that call them. */

import type { Address, Prefix } from '../core/packet/ip.js'
import { localAddresses, setOfAddresses } from '../kernel/proc/local-addresses.js'
import type { UserLookup } from '../system/users.js'
import { Files } from './mirrors/file-reader.js'
import type { Placed } from './placed.js'
import type { Upstream } from './resolvers/local-resolver.js'
import { type Resolving, readResolving } from './resolvers/resolvers.js'
import { DHCP_USERS, DYNAMIC_USERS, RESOLVER_USERS, serviceUsers, TIME_USERS } from './service-users.js'
import type { TimeServer, TimeService } from './time/time-server.js'
import { readTimeServers } from './time/time-servers.js'

export interface Infrastructure {
  readonly resolvers: readonly Prefix[]
  /** Servers that a resolver on this host asks over TLS, or at another port than 53. */
  readonly upstreams: readonly Upstream[]
  readonly searchDomains: readonly string[]
  /** Programs append the search domains first to names with fewer dots. */
  readonly ndots: number
  /** What is not known of the resolvers on this host, for the operator. */
  readonly resolverNotes: readonly string[]
  /** Ids of the users of the host's own resolvers. */
  readonly resolverUsers: readonly number[]
  /** Ids of the users under which this host's DHCP client may run. */
  readonly dhcpUsers: readonly number[]
  /** Time servers, and servers over TLS that time services call beside them (NTS). */
  readonly timeServers: readonly TimeServer[]
  readonly timeTlsServers: readonly TimeServer[]
  /** Ids of the users under which this host's NTP client may run. */
  readonly timeUsers: readonly number[]
}

/**
 * Reads the host's files. A file that is missing or unreadable counts as empty.
 * @param root, idOf, isOwn for tests
 */
export function readInfrastructure(
  root = '/',
  idOf: UserLookup = serviceUsers(root),
  isOwn = ownAddresses(),
): Infrastructure {
  const { resolving, times } = readFiles(new Files(root), isOwn)
  return {
    resolvers: resolving.resolvers.map(({ value }) => value),
    upstreams: resolving.upstreams.map(({ value }) => value),
    searchDomains: resolving.searchDomains,
    ndots: resolving.ndots,
    resolverNotes: resolving.notes,
    resolverUsers: RESOLVER_USERS.flatMap((name) => idOf(name) ?? []),
    dhcpUsers: DHCP_USERS.flatMap((name) => idOf(name) ?? []),
    timeServers: times.ntp.map(({ value }) => value),
    timeTlsServers: times.tls.map(({ value }) => value),
    timeUsers: TIME_USERS.flatMap((name) => idOf(name) ?? []),
  }
}

export interface PlacedInfrastructure {
  readonly resolvers: readonly Placed<Prefix>[]
  readonly upstreams: readonly Placed<Upstream>[]
  readonly timeServers: readonly Placed<TimeServer>[]
  readonly timeTlsServers: readonly Placed<TimeServer>[]
}

/** Reads the resolvers and time servers, each with the line that names it: for the operator. */
export function placedInfrastructure(root = '/'): PlacedInfrastructure {
  const { resolving, times } = readFiles(new Files(root))
  const { resolvers, upstreams } = resolving
  return { resolvers, upstreams, timeServers: times.ntp, timeTlsServers: times.tls }
}

/** The last fingerprint, with a check whether it still holds. */
let last: { readonly root: string; readonly text: string; readonly holds: () => boolean } | undefined

/**
 * Returns a text that changes when one of the files that `readInfrastructure` reads changes. While none has,
 * it calls stat(2) only: a list of blocked names in the files of a resolver takes long to parse.
 */
export function infrastructureFingerprint(root = '/'): string {
  if (last?.root === root && last.holds()) return last.text
  const files = new Files(root, { statOnly: true })
  readFiles(files)
  last = { root, text: files.statuses().join(), holds: files.unchanged() }
  return last.text
}

function readFiles(files: Files, isOwn = ownAddresses()): { resolving: Resolving; times: TimeService } {
  files.exists(DYNAMIC_USERS)
  return { resolving: readResolving(files, isOwn), times: readTimeServers(files) }
}

/** Returns whether an address is one of this host's devices. */
function ownAddresses(): (address: Address) => boolean {
  const own = setOfAddresses(localAddresses())
  return ({ family, words }) => own.has(family, words)
}
