/** The configuration and the host's own facts as rules of the policy, in the order in which they are tried. */
import type { Config } from './config.js'
import { compile, type Policy, type RuleSpec } from './core/policy.js'
import type { Destination, PortRange, Prefix } from './core/types.js'
import type { Infrastructure } from './mirrors/infrastructure.js'

const port = (number: number): PortRange[] => [{ first: number, last: number }]
const everywhere: readonly Prefix[] = [
  { family: 4, words: new Uint32Array(4), length: 0 },
  { family: 6, words: new Uint32Array(4), length: 0 },
]

/** @param host what the host's files say, for settings that are `auto` */
export function policyOf(config: Config, host: Infrastructure): Policy {
  return {
    mode: config.mode,
    canary: config.canary.target,
    rules: [...infrastructureRules(config, host), ...mirrorRules(config), ...allowRules(config)].map(compile),
  }
}

function infrastructureRules({ infrastructure }: Config, host: Infrastructure): RuleSpec[] {
  const resolvers = infrastructure.dns === 'auto' ? host.resolvers : infrastructure.dns
  const servers = infrastructure.ntp === 'auto' ? host.timeServers : infrastructure.ntp
  const rules: RuleSpec[] = []
  if (resolvers.length > 0)
    rules.push({
      reason: 'resolver',
      name: 'resolver',
      protocol: 'any',
      ports: port(53),
      prefixes: resolvers,
      names: [],
    })
  if (servers.length > 0)
    rules.push({ reason: 'time', name: 'time', protocol: 'udp', ports: port(123), ...split(servers) })
  if (infrastructure.dhcp)
    rules.push(dhcp('dhcp4', 68, 67, 4, host.dhcpUsers), dhcp('dhcp6', 546, 547, 6, host.dhcpUsers))
  return rules
}

/** Clients speak from a privileged port of their own (RFC 2131, RFC 8415), to a server that may be anywhere. */
function dhcp(name: string, from: number, to: number, family: 4 | 6, users: readonly number[]): RuleSpec {
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
  }
}

function mirrorRules({ mirrors }: Config): RuleSpec[] {
  if (mirrors.hosts.length === 0) return []
  const { ports, users, hosts } = mirrors
  return [{ reason: 'mirror', name: 'mirrors', protocol: 'tcp', ports, users, ...split(hosts) }]
}

/** Entries bound to units are left out: which unit a packet comes from is not known yet. */
function allowRules({ allow }: Config): RuleSpec[] {
  return allow
    .filter((entry) => entry.units === undefined)
    .map(({ name, protocol, ports, users, expires, origin, to }) => ({
      reason: 'rule',
      name,
      protocol,
      ports: ports.filter(({ first, last }) => first > 0 || last < 65535),
      users,
      expires,
      origin,
      ...split(to),
    }))
}

function split(destinations: readonly Destination[]): Pick<RuleSpec, 'prefixes' | 'names'> {
  return {
    prefixes: destinations.flatMap((place) => (place.kind === 'prefix' ? [place.prefix] : [])),
    names: destinations.flatMap((place) => (place.kind === 'name' ? [place.name] : [])),
  }
}
