/**
 * Finds the resolvers and time servers that the host's own files name. Pure parsers, and one function that
 * reads the files.
 */

import { familyBits, isLoopback, type Prefix } from '../core/packet/ip.js'
import { createUsers, type UserLookup } from '../system/users.js'
import { parseAddress, parseHostName } from '../text/parse-address.js'
import { Files, type TextFile } from './mirrors/file-reader.js'
import type { Placed } from './placed.js'
import type { TimeServer, TimeService } from './time/time-server.js'
import { readTimeServers } from './time/time-servers.js'

/**
 * The addresses on which systemd-resolved answers; its own resolvers are in another file
 * (systemd-resolved(8)).
 */
const STUBS = new Set(['127.0.0.53', '127.0.0.54'])
const RESOLV_CONF = '/etc/resolv.conf'
const RESOLVED_UPSTREAM = '/run/systemd/resolve/resolv.conf'

/**
 * Reads the addresses of `nameserver` lines (resolv.conf(5)), without their zones (`%eth0`); loopback is left
 * out.
 */
export function parseResolvConf(text: string): Prefix[] {
  return [...text.matchAll(/^[ \t]*nameserver[ \t]+([^\s%#;]+)/gm)].flatMap(([, written]) => {
    const address = parseAddress(written!)
    if (!address.ok || isLoopback(address.value)) return []
    return [{ ...address.value, length: familyBits(address.value.family) }]
  })
}

/** Whether resolv.conf names systemd-resolved's own listener. */
export const usesStub = (text: string): boolean =>
  [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].some(([, address]) => STUBS.has(address!))

/** Reads the domains that programs append to names: those of the last `search` or `domain` line. */
export function parseSearchDomains(text: string): string[] {
  const lines = [...text.matchAll(/^[ \t]*(?:search|domain)[ \t]+([^#;\n]*)/gm)]
  const written = lines.at(-1)?.[1]?.trim().split(/\s+/) ?? []
  return written.flatMap((domain) => {
    const name = parseHostName(domain.replace(/\.$/, ''))
    return name.ok ? [name.value] : []
  })
}

/**
 * The users that may send DHCP: root, and the users that clients drop to. On some hosts any user may bind a
 * low port.
 */
const DHCP_USERS = ['root', 'systemd-network', 'dhcpcd', '_dhcp', 'dhcp']

/** The users under which clients of time servers send; root is the user of some at their start. */
const TIME_USERS = [
  'root',
  'systemd-timesync',
  '_chrony',
  'chrony',
  'ntp',
  'ntpsec',
  'openntpd',
  '_openntpd',
  'ntpd',
  '_ntp',
]

/** The users of resolvers that run on the host itself, and send queries for other programs. */
const RESOLVER_USERS = ['systemd-resolve', 'unbound', 'dnsmasq', 'bind', 'named', 'pdns', 'knot-resolver']

export interface Infrastructure {
  readonly resolvers: readonly Prefix[]
  readonly searchDomains: readonly string[]
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
 * @param root, idOf for tests
 */
export function readInfrastructure(root = '/', idOf: UserLookup = knownUsers()): Infrastructure {
  const { resolving, times } = readFiles(new Files(root))
  return {
    resolvers: resolving.flatMap(({ text }) => parseResolvConf(text)),
    searchDomains: [...new Set(resolving.flatMap(({ text }) => parseSearchDomains(text)))],
    resolverUsers: RESOLVER_USERS.flatMap((name) => idOf(name) ?? []),
    dhcpUsers: DHCP_USERS.flatMap((name) => idOf(name) ?? []),
    timeServers: times.ntp.map(({ value }) => value),
    timeTlsServers: times.tls.map(({ value }) => value),
    timeUsers: TIME_USERS.flatMap((name) => idOf(name) ?? []),
  }
}

export interface PlacedInfrastructure {
  readonly resolvers: readonly Placed<Prefix>[]
  readonly timeServers: readonly Placed<TimeServer>[]
  readonly timeTlsServers: readonly Placed<TimeServer>[]
}

/** Reads the resolvers and time servers, each with the line that names it: for the operator. */
export function placedInfrastructure(root = '/'): PlacedInfrastructure {
  const { resolving, times } = readFiles(new Files(root))
  return {
    resolvers: resolving.flatMap((file) => eachLine(file, parseResolvConf)),
    timeServers: times.ntp,
    timeTlsServers: times.tls,
  }
}

const eachLine = <T>(file: TextFile, parse: (line: string) => T[]): Placed<T>[] =>
  file.text
    .split('\n')
    .flatMap((line, index) => parse(line).map((value) => ({ value, origin: file.at(index + 1) })))

/** Returns a text that changes when one of the files that `readInfrastructure` reads changes. */
export function infrastructureFingerprint(root = '/'): string {
  const files = new Files(root, { statOnly: true })
  readFiles(files)
  return files.statuses().join()
}

function readFiles(files: Files): { resolving: TextFile[]; times: TimeService } {
  const [resolvConf, upstream] = [files.leaf(RESOLV_CONF), files.leaf(RESOLVED_UPSTREAM)]
  return {
    resolving: usesStub(resolvConf.text) ? [resolvConf, upstream] : [resolvConf],
    times: readTimeServers(files),
  }
}

/**
 * Looks users up in /etc/passwd only: most hosts lack most of them, and queries for them to a directory
 * service would take seconds.
 */
const knownUsers = (): UserLookup => createUsers({ getent: () => undefined }).idOf
