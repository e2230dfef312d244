/**
 * What every host needs beside its mirrors: its resolvers and its time servers, as the host's own files name
 * them. Pure parsers, and one function that reads the files.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseAddress, parseDestination, parseHostName } from '../addressing.js'
import { type Destination, familyBits, type Prefix } from '../core/types.js'
import { createUsers, type UserLookup } from '../users.js'

/** systemd-resolved answers on these; whom it asks stands in a file of its own (systemd-resolved(8)). */
const STUBS = new Set(['127.0.0.53', '127.0.0.54'])
const RESOLV_CONF = '/etc/resolv.conf'
const RESOLVED_UPSTREAM = '/run/systemd/resolve/resolv.conf'

/** Files that name time servers, and the keywords before each (timesyncd.conf(5), chrony.conf(5), ntp.conf(5)). */
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

/** The addresses of `nameserver` lines (resolv.conf(5)); zones (`%eth0`) are dropped, loopback is left out. */
export function parseResolvConf(text: string): Prefix[] {
  return [...text.matchAll(/^[ \t]*nameserver[ \t]+([^\s%#;]+)/gm)].flatMap(([, written]) => {
    const address = parseAddress(written!)
    if (!address.ok || isLoopback(written!)) return []
    return [{ ...address.value, length: familyBits(address.value.family) }]
  })
}

/** Whether resolv.conf leads to systemd-resolved's own listener. */
export const usesStub = (text: string): boolean =>
  [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].some(([, address]) => STUBS.has(address!))

/** The domains that a resolver appends to names: those of the last `search` or `domain` line. */
export function parseSearchDomains(text: string): string[] {
  const lines = [...text.matchAll(/^[ \t]*(?:search|domain)[ \t]+([^#;\n]*)/gm)]
  const written = lines.at(-1)?.[1]?.trim().split(/\s+/) ?? []
  return written.flatMap((domain) => {
    const name = parseHostName(domain.replace(/\.$/, ''))
    return name.ok ? [name.value] : []
  })
}

/** Time servers of `NTP=`, `FallbackNTP=`, `server`, `pool` and `peer` lines. */
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

/** Those who may speak DHCP: root, and the users that clients drop to. A low port alone proves nothing everywhere. */
const DHCP_USERS = ['root', 'systemd-network', 'dhcpcd', '_dhcp', 'dhcp']

/** The users of resolvers that run on the host itself, and ask others. */
const RESOLVER_USERS = ['systemd-resolve', 'unbound', 'dnsmasq', 'bind', 'named', 'pdns', 'knot-resolver']

export interface Infrastructure {
  readonly resolvers: readonly Prefix[]
  readonly searchDomains: readonly string[]
  /** Ids of the users of the host's own resolvers. */
  readonly resolverUsers: readonly number[]
  /** Ids of the users under which this host's DHCP client may run. */
  readonly dhcpUsers: readonly number[]
  readonly timeServers: readonly Destination[]
}

/**
 * Reads the host's files; those that are missing or unreadable name nothing.
 * @param root, idOf for tests
 */
export function readInfrastructure(root = '/', idOf: UserLookup = knownUsers()): Infrastructure {
  const resolvConf = read(join(root, RESOLV_CONF))
  const upstream = usesStub(resolvConf) ? read(join(root, RESOLVED_UPSTREAM)) : ''
  const timeTexts = TIME_FILES.flatMap((path) => textsOf(join(root, path)))
  return {
    resolvers: [...parseResolvConf(resolvConf), ...parseResolvConf(upstream)],
    searchDomains: [...new Set([...parseSearchDomains(resolvConf), ...parseSearchDomains(upstream)])],
    resolverUsers: RESOLVER_USERS.flatMap((name) => idOf(name) ?? []),
    dhcpUsers: DHCP_USERS.flatMap((name) => idOf(name) ?? []),
    timeServers: timeTexts.flatMap(parseTimeServers),
  }
}

/** Changes when one of the files that `readInfrastructure` reads does. */
export function infrastructureFingerprint(root = '/'): string {
  return [RESOLV_CONF, RESOLVED_UPSTREAM, ...TIME_FILES].flatMap((path) => stamps(join(root, path))).join()
}

/** The identity, length and time of a file, or those of all files of a folder. */
function stamps(path: string): string[] {
  try {
    const { ino, size, mtimeMs } = statSync(path)
    const own = `${ino} ${size} ${mtimeMs}`
    return path.endsWith('/')
      ? [own, ...readdirSync(path).flatMap((name) => stamps(join(path, name)))]
      : [own]
  } catch {
    return ['none']
  }
}

/** /etc/passwd only: most hosts lack most of these users, and asking a directory for each would take seconds. */
const knownUsers = (): UserLookup => createUsers({ getent: () => undefined }).idOf

const isLoopback = (address: string) => address.startsWith('127.') || address === '::1'

/** The text of a file, or of each .conf and .sources file of a folder. */
function textsOf(path: string): string[] {
  if (!path.endsWith('/')) return [read(path)]
  try {
    return readdirSync(path)
      .filter((name) => /\.(conf|sources)$/.test(name))
      .map((name) => read(join(path, name)))
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
