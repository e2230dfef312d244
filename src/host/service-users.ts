/** Knows the users under which services of the host's infrastructure run. */
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { createUsers, type UserLookup } from '../system/users.js'

/**
 * The users that may send DHCP: root, and the users that clients drop to. On some hosts any user may bind a
 * low port.
 */
export const DHCP_USERS = ['root', 'systemd-network', 'dhcpcd', '_dhcp', 'dhcp']

/** The users under which clients of time servers send; root is the user of some at their start. */
export const TIME_USERS = [
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
export const RESOLVER_USERS = [
  'systemd-resolve',
  'unbound',
  'dnsmasq',
  'bind',
  'named',
  'pdns',
  'pdns-recursor',
  'knot-resolver',
  'stubby',
  '_dnscrypt-proxy',
  'dnscrypt-proxy',
]

/** The folder where systemd keeps the users that it makes for a service while that runs (`DynamicUser=`). */
export const DYNAMIC_USERS = '/run/systemd/dynamic-uid'

/**
 * Looks users up in /etc/passwd and among those of systemd only: most hosts lack most of them, and queries
 * for them to a directory service would take seconds.
 */
export function serviceUsers(root: string): UserLookup {
  const { idOf } = createUsers({ getent: () => undefined })
  return (name) => idOf(name) ?? dynamicUser(root, name)
}

/** Reads the uid of a user that systemd has made: a link from its name to its number. */
function dynamicUser(root: string, name: string): number | undefined {
  try {
    const target = readlinkSync(join(root, DYNAMIC_USERS, `direct:${name}`))
    return /^\d{1,9}$/.test(target) ? Number(target) : undefined
  } catch {
    return undefined
  }
}
