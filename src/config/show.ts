/** A configuration as YAML that could be its file. */
import { Document, isScalar, visit } from 'yaml'
import { formatPortRange, formatPrefix } from '../core/packet/address-text.js'
import type { PortRange } from '../core/packet/ip.js'
import { formatDestination } from '../text/parse-address.js'
import { formatDuration } from './formats.js'
import type { AllowEntry, Config, Service } from './types.js'

/** The configuration in effect. `nameOf` gives the names of users; a user without one is shown by number. */
export function showConfig(
  config: Config,
  nameOf: (uid: number) => string | undefined = () => undefined,
): string {
  const user = (uid: number): string | number => nameOf(uid) ?? uid
  const document = new Document(writtenForm(config, user))
  visit(document, {
    Seq: (_, node) => {
      node.flow = node.items.every((item) => isScalar(item))
    },
  })
  const mask = document.getIn(['firewall', 'mark', 'mask'], true)
  if (isScalar(mask)) mask.format = 'HEX'
  return document.toString({ lineWidth: 110, flowCollectionPadding: false })
}

/** How a user is written. */
type NameUser = (uid: number) => string | number

function writtenForm(config: Config, user: NameUser): Record<string, unknown> {
  const { notes: _, sessions, infrastructure, mirrors, containment, metrics, canary } = config
  const { services, callbacks } = sessions
  const { dns, ntp } = infrastructure
  return {
    ...config,
    notes: undefined,
    dns: {
      ...config.dns,
      holdTime: formatDuration(config.dns.holdTime),
      grace: formatDuration(config.dns.grace),
    },
    sessions: {
      ...sessions,
      tcpTimeout: formatDuration(sessions.tcpTimeout),
      udpTimeout: formatDuration(sessions.udpTimeout),
      services: services === 'auto' ? services : services.map(formatService),
      callbacks: callbacks.map((callback) => ({
        ...callback,
        service: formatService(callback.service),
        ports: callback.ports.map(formatPorts),
      })),
    },
    infrastructure: {
      ...infrastructure,
      dns: dns === 'auto' ? dns : dns.map(formatPrefix),
      ntp: ntp === 'auto' ? ntp : ntp.map(formatDestination),
    },
    mirrors: {
      ...mirrors,
      hosts: mirrors.hosts.map(formatDestination),
      ports: mirrors.ports.map(formatPorts),
      users: mirrors.users.map(user),
    },
    allow: config.allow.map((entry) => formatRule(entry, user)),
    containment: {
      ...containment,
      window: formatDuration(containment.window),
      duration: formatDuration(containment.duration),
    },
    metrics: { ...metrics, listen: formatHostPort(metrics.listen) },
    canary: { target: formatHostPort(canary.target), interval: formatDuration(canary.interval) },
  }
}

/** A rule as it could stand in a file. */
export function formatRule(entry: AllowEntry, user: NameUser): WrittenRule {
  return {
    name: entry.name,
    to: entry.to.map(formatDestination),
    ports: isAllPorts(entry.ports) ? undefined : entry.ports.map(formatPorts),
    protocol: entry.protocol,
    users: entry.users?.map(user),
    units: entry.units,
    expires:
      entry.expires === undefined ? undefined : new Date(entry.expires).toISOString().replace('.000Z', 'Z'),
  }
}

/** What is undefined is not written. */
export interface WrittenRule {
  readonly name: string
  readonly to: readonly string[]
  readonly ports: readonly (number | string)[] | undefined
  readonly protocol: AllowEntry['protocol']
  readonly users: readonly (number | string)[] | undefined
  readonly units: readonly string[] | undefined
  /** RFC 3339. */
  readonly expires: string | undefined
}

function isAllPorts(ports: readonly PortRange[]): boolean {
  return ports.some(({ first, last }) => first === 0 && last === 65535)
}

function formatService({ protocol, port }: Service): string {
  return `${protocol}/${port}`
}

function formatPorts(range: PortRange): number | string {
  return range.first === range.last ? range.first : formatPortRange(range)
}

function formatHostPort({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
