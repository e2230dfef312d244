/**
 * Builds the policy from the configuration and the host's facts: its rules, in the order in which they are
 * tried.
 */

import type { Config } from '../config/config.js'
import type { QueryPolicy } from '../core/dns/query-policy.js'
import type { Destination, PortRange, Prefix } from '../core/packet/ip.js'
import { NTP_PORT } from '../core/packet/ntp.js'
import type { BuiltInRule } from '../core/policy/built-in-rules.js'
import { assemble, compile, type Policy } from '../core/policy/policy.js'
import type { RuleSpec } from '../core/policy/rule.js'
import { noServices } from '../core/session/services.js'
import type { HostFacts } from '../host/host-facts.js'
import type { Infrastructure } from '../host/infrastructure.js'
import type { Mirror } from '../host/mirrors/mirror.js'
import type { Upstream } from '../host/resolvers/local-resolver.js'
import type { TimeServer } from '../host/time/time-server.js'
import type { Target } from '../names/dns/answer-reader.js'
import { OWN_UID, ROOT_UID } from '../system/users.js'
import { formatDestination, parseDestination, parseHostName } from '../text/parse-address.js'
import { type Parsed, parsed } from '../text/parsed.js'

const port = (number: number): PortRange[] => [{ first: number, last: number }]
const everywhere: readonly Prefix[] = [
  { family: 4, words: new Uint32Array(4), length: 0 },
  { family: 6, words: new Uint32Array(4), length: 0 },
]

/** A rule that checkvalve adds itself. */
type BuiltInSpec = RuleSpec & { readonly name: BuiltInRule }

/** What DNS answers have shown about names. */
export interface NameKnowledge {
  /** The known targets of an SRV name. */
  readonly targets: (service: string) => readonly Target[]
  /** Whether a name is an SRV name or an alias that leads to an allowed name. */
  readonly isWayTo: (name: string) => boolean
}

/**
 * Builds a policy.
 * @param host facts of the host's files, for settings that are `auto` @param live what the owner keeps
 *   current: ports of root's services, and addresses in use; none when not given
 */
export function buildPolicy(
  config: Config,
  host: HostFacts,
  knowledge: NameKnowledge,
  { rootServices, used }: Partial<Pick<Policy, 'rootServices' | 'used'>> = {},
): Policy {
  const trustedUsers = [...new Set([OWN_UID, ...updatersOf(config, host), ...host.resolverUsers])]
  return assemble({
    rootServices: rootServices ?? noServices(),
    ...(used && { used }),
    mode: config.mode,
    canary: config.canary.target,
    canaryUser: OWN_UID,
    ephemeralPorts: host.ephemeralPorts,
    transparentUsers: config.transparentUsers,
    trustedUsers,
    sparedUsers: sparedUsersOf(config, trustedUsers),
    rules: [
      ...infrastructureRules(config, host),
      ...mirrorRules(config),
      ...foundRules(updatersOf(config, host), host.mirrors, knowledge),
      ...allowRules(config),
    ].map(compile),
    queryPolicy: config.dns.enforceNames ? queryPolicyOf(config, host, knowledge) : undefined,
  })
}

const queryPolicyOf = ({ dns }: Config, host: HostFacts, { isWayTo }: NameKnowledge): QueryPolicy => ({
  isAllowed: (name) => name === host.name || isWayTo(name),
  reverse: dns.reverse,
  search: dns.searchDomains ? host.searchDomains : [],
})

function infrastructureRules({ infrastructure }: Config, host: Infrastructure): BuiltInSpec[] {
  const resolvers = infrastructure.dns === 'auto' ? host.resolvers : infrastructure.dns
  const servers = infrastructure.ntp === 'auto' ? host.timeServers : infrastructure.ntp
  const named = new Set(servers.map(formatDestination))
  // A list of the operator has no ports of TLS: they are those that the host's own files have for its
  // servers.
  const tls = host.timeTlsServers.filter(
    (server) => infrastructure.ntp === 'auto' || named.has(formatDestination(server)),
  )
  const rules: BuiltInSpec[] = []
  if (resolvers.length > 0)
    rules.push({
      reason: 'resolver',
      name: 'resolver',
      protocol: 'any',
      ports: port(53),
      prefixes: resolvers,
      names: [],
      domains: [],
    })
  if (infrastructure.dns === 'auto') rules.push(...upstreamRules(host))
  rules.push(...timeRules(servers, tls, host.timeUsers))
  if (infrastructure.dhcp)
    rules.push(dhcp('dhcp4', 68, 67, 4, host.dhcpUsers), dhcp('dhcp6', 546, 547, 6, host.dhcpUsers))
  return rules
}

/**
 * Makes the rules of servers that a resolver on this host asks over TLS, or at another port: for its user
 * only.
 */
function upstreamRules({ upstreams, resolverUsers }: Infrastructure): BuiltInSpec[] {
  const users = [...new Set([ROOT_UID, ...resolverUsers])]
  const rules = (all: readonly Upstream[], prefix: string, protocol: 'tcp' | 'any') =>
    byPort(all.map(({ port: number, place }) => [number, place])).map(([number, own]): BuiltInSpec => {
      const name = `${prefix}:${number}` as const
      return { reason: 'resolver', name, protocol, ports: port(number), users, ...split(own) }
    })
  return [
    ...rules(
      upstreams.filter(({ isTls }) => !isTls),
      'resolver',
      'any',
    ),
    ...rules(
      upstreams.filter(({ isTls }) => isTls),
      'resolver-tls',
      'tcp',
    ),
  ]
}

/**
 * Makes the rules of time servers, for each port. @param tls servers that are called over TLS (NTS), with
 * their ports
 */
function timeRules(
  servers: readonly TimeServer[],
  tls: readonly TimeServer[],
  users: readonly number[],
): BuiltInSpec[] {
  const ports = (all: readonly TimeServer[]) => byPort(all.map((place) => [place.port ?? NTP_PORT, place]))
  const plain = ports(servers).flatMap(([number, own]): BuiltInSpec[] => {
    const time = { reason: 'time', protocol: 'udp', ports: port(number), ...split(own) } as const
    if (number !== NTP_PORT) return [{ ...time, name: `time:${number}`, users }]
    return [
      { ...time, name: 'time', users },
      // ntpd opens its port as root, and keeps it when it becomes another user.
      { ...time, name: 'time:123', users: [OWN_UID], sourcePort: NTP_PORT },
    ]
  })
  const keys = ports(tls).map(([number, own]): BuiltInSpec => {
    const name = `time-tls:${number}` as const
    return { reason: 'time', name, protocol: 'tcp', ports: port(number), users, ...split(own) }
  })
  return [...plain, ...keys]
}

/** DHCP clients send from a privileged port of their own (RFC 2131, RFC 8415) to a server at any address. */
function dhcp(
  name: BuiltInRule,
  from: number,
  to: number,
  family: 4 | 6,
  users: readonly number[],
): BuiltInSpec {
  const prefixes = everywhere.filter((prefix) => prefix.family === family)
  return {
    reason: 'dhcp',
    name,
    protocol: 'udp',
    users,
    sourcePort: from,
    ports: port(to),
    prefixes,
    names: [],
    domains: [],
  }
}

/** The service's own user is spared always: the canary is blocked again and again. */
function sparedUsersOf({ containment: { users } }: Config, trusted: readonly number[]): number[] {
  const spared = new Set([ROOT_UID, ...trusted])
  return [...spared].filter((uid) => uid === OWN_UID || !users.includes(uid))
}

/**
 * Returns the users who may reach mirrors: those of the configuration, and, where root is one, those that
 * root's package manager becomes (`APT::Sandbox::User`).
 */
function updatersOf({ mirrors: { users } }: Config, { updateUsers }: HostFacts): number[] {
  return [...new Set([...users, ...(users.includes(ROOT_UID) ? updateUsers : [])])]
}

function mirrorRules({ mirrors }: Config): BuiltInSpec[] {
  if (mirrors.hosts.length === 0) return []
  const { ports, users, hosts } = mirrors
  return [{ reason: 'mirror', name: 'mirrors', protocol: 'tcp', ports, users, ...split(hosts) }]
}

/**
 * Makes one rule for each port: a mirror is allowed only at the port that its file or its SRV record names.
 */
function foundRules(
  users: readonly number[],
  found: readonly Mirror[],
  { targets }: NameKnowledge,
): BuiltInSpec[] {
  const moved = found.flatMap(({ service }) => (service === undefined ? [] : targets(service)))
  const written = found.map(({ host, port }) => ({ port, place: parseDestination(host) }))
  // A target from a resolver is always a host name, even if it looks like a prefix or a wildcard.
  const fromSrv = moved.map(({ name, port }) => ({ port, place: namePlace(name) }))
  const rules = (
    places: readonly PortDestination[],
    prefix: string,
    extra: Pick<RuleSpec, 'isFromSrv'> = {},
  ) =>
    byPort(places.flatMap(({ port, place }) => (place.ok ? [[port, place.value] as const] : []))).map(
      ([number, own]): BuiltInSpec => {
        const name = `${prefix}:${number}` as const
        return {
          reason: 'mirror',
          name,
          protocol: 'tcp',
          ports: port(number),
          users,
          ...split(own),
          ...extra,
        }
      },
    )
  return [...rules(written, 'mirrors'), ...rules(fromSrv, 'targets', { isFromSrv: true })]
}

interface PortDestination {
  readonly port: number
  readonly place: Parsed<Destination>
}

/** Groups places by their port, the lowest first. */
function byPort(places: readonly (readonly [number, Destination])[]): [number, Destination[]][] {
  const of = new Map<number, Destination[]>()
  for (const [port, place] of places) of.set(port, [...(of.get(port) ?? []), place])
  return [...of].sort(([a], [b]) => a - b)
}

function namePlace(text: string): Parsed<Destination> {
  const name = parseHostName(text)
  return name.ok ? parsed({ kind: 'name', name: name.value }) : name
}

function allowRules({ allow }: Config): RuleSpec[] {
  return allow.map(({ name, protocol, ports, users, units, whenSilent, expires, origin, to }) => ({
    reason: 'rule',
    name,
    protocol,
    ports: ports.filter(({ first, last }) => first > 0 || last < 65535),
    users,
    units,
    whenSilent,
    expires,
    origin,
    ...split(to),
  }))
}

function split(destinations: readonly Destination[]): Pick<RuleSpec, 'prefixes' | 'names' | 'domains'> {
  return {
    prefixes: destinations.flatMap((place) => (place.kind === 'prefix' ? [place.prefix] : [])),
    names: [...new Set(destinations.flatMap((place) => (place.kind === 'name' ? [place.name] : [])))],
    domains: [...new Set(destinations.flatMap((place) => (place.kind === 'wildcard' ? [place.domain] : [])))],
  }
}
