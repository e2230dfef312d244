/**
 * Finds the resolvers and time servers that the host's own files name. Pure parsers, and one function that
 * reads the files.
 */

import { type Destination, familyBits, isLoopback, type Prefix } from '../core/packet/ip.js'
import type { Origin } from '../core/policy/origin.js'
import { createUsers, type UserLookup } from '../system/users.js'
import { parseAddress, parseDestination, parseHostName } from '../text/parse-address.js'
import { Files, type TextFile } from './mirrors/file-reader.js'

/**
 * The addresses on which systemd-resolved answers; its own resolvers are in another file
 * (systemd-resolved(8)).
 */
const STUBS = new Set(['127.0.0.53', '127.0.0.54'])
const RESOLV_CONF = '/etc/resolv.conf'
const RESOLVED_UPSTREAM = '/run/systemd/resolve/resolv.conf'

/**
 * Files that name time servers, and the keywords before each (timesyncd.conf(5), chrony.conf(5),
 * ntp.conf(5)).
 */
const TIME_FILES = [
  '/etc/systemd/timesyncd.conf',
  '/etc/systemd/timesyncd.conf.d/',
  '/etc/chrony/chrony.conf',
  '/etc/chrony/conf.d/',
  '/etc/chrony/sources.d/',
  '/etc/chrony.conf',
  '/etc/ntpsec/ntp.conf',
  '/etc/ntp.conf',
]

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

/** Reads the time servers of `NTP=`, `FallbackNTP=`, `server`, `pool` and `peer` lines. */
export function parseTimeServers(text: string): Destination[] {
  const written = text.split('\n').flatMap((line) => {
    const setting = /^\s*(?:Fallback)?NTP\s*=\s*(.*)$/.exec(line)
    if (setting) return setting[1]!.trim().split(/\s+/)
    const command = /^\s*(?:server|pool|peer)\s+(\S+)/.exec(line)
    return command ? [command[1]!] : []
  })
  return written.flatMap((text) => {
    const destination = parseDestination(text)
    return destination.ok && destination.value.kind !== 'wildcard' ? [destination.value] : []
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
  readonly timeServers: readonly Destination[]
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
    timeServers: times.flatMap(({ text }) => parseTimeServers(text)),
    timeUsers: TIME_USERS.flatMap((name) => idOf(name) ?? []),
  }
}

/** A value, and the line that names it. */
export interface Placed<T> {
  readonly value: T
  readonly origin: Origin
}

export interface PlacedInfrastructure {
  readonly resolvers: readonly Placed<Prefix>[]
  readonly timeServers: readonly Placed<Destination>[]
}

/** Reads the resolvers and time servers, each with the line that names it: for the operator. */
export function placedInfrastructure(root = '/'): PlacedInfrastructure {
  const { resolving, times } = readFiles(new Files(root))
  return {
    resolvers: resolving.flatMap((file) => eachLine(file, parseResolvConf)),
    timeServers: times.flatMap((file) => eachLine(file, parseTimeServers)),
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

/** Reads all files; of a folder, its .conf and .sources files. */
function readFiles(files: Files): { resolving: TextFile[]; times: TextFile[] } {
  const [resolvConf, upstream] = [files.leaf(RESOLV_CONF), files.leaf(RESOLVED_UPSTREAM)]
  const times = TIME_FILES.flatMap((path) =>
    path.endsWith('/') ? files.list(path, /\.(conf|sources)$/) : [path],
  )
  return {
    resolving: usesStub(resolvConf.text) ? [resolvConf, upstream] : [resolvConf],
    times: times.map((path) => files.leaf(path)),
  }
}

/**
 * Looks users up in /etc/passwd only: most hosts lack most of them, and queries for them to a directory
 * service would take seconds.
 */
const knownUsers = (): UserLookup => createUsers({ getent: () => undefined }).idOf
