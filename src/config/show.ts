/** Writes a configuration as YAML that could be its file. */
import { Document, isScalar, visit } from 'yaml'
import { formatPortRange, formatPrefix } from '../core/packet/address-text.js'
import type { PortRange } from '../core/packet/ip.js'
import { formatDestination } from '../text/parse-address.js'
import type { Config } from './config-values.js'
import { formatDuration } from './formats.js'
import type { FormatName, FormatValue } from './named-formats.js'
import { schema } from './schema.js'
import { mapSettings } from './setting-table.js'
import type { AllowEntry, Callback, Service } from './types.js'

/** Returns the configuration in force as YAML. A user without a name in `nameOf` is shown by uid. */
export function showConfig(
  config: Config,
  nameOf: (uid: number) => string | undefined = () => undefined,
): string {
  const user = (uid: number): string | number => nameOf(uid) ?? uid
  const written = mapSettings(schema, (key, { format }) => writtenForm(format, valueAt(config, key), user))
  const document = new Document(written)
  visit(document, {
    Seq: (_, node) => {
      node.flow = node.items.every((item) => isScalar(item))
    },
  })
  const mask = document.getIn(['firewall', 'mark', 'mask'], true)
  if (isScalar(mask)) mask.format = 'HEX'
  return document.toString({ lineWidth: 110, flowCollectionPadding: false })
}

/** Returns the written form of a user: the name, or the uid. */
type NameUser = (uid: number) => string | number

/**
 * Converts values to their written form, by format. A format that is missing here writes the value as it is.
 */
const WRITERS: { [Name in FormatName]?: (value: FormatValue<Name>, user: NameUser) => unknown } = {
  duration: formatDuration,
  listen: formatHostPort,
  endpoint: formatHostPort,
  services: (services) =>
    services === 'auto' ? services : services.map((each) => (each === 'auto' ? each : formatService(each))),
  callbacks: (callbacks) => callbacks.map(formatCallback),
  resolvers: (prefixes) => (prefixes === 'auto' ? prefixes : prefixes.map(formatPrefix)),
  'time-servers': (servers) => (servers === 'auto' ? servers : servers.map(formatDestination)),
  mirrors: (hosts) => hosts.map(formatDestination),
  ports: (ports) => ports.map(formatPorts),
  users: (users, user) => users.map(user),
  'user-list': (users, user) => users.map(user),
  rules: (rules, user) => rules.map((rule) => formatRule(rule, user)),
}

function writtenForm(format: FormatName, value: unknown, user: NameUser): unknown {
  const write = WRITERS[format] as ((value: unknown, user: NameUser) => unknown) | undefined
  return write === undefined ? value : write(value, user)
}

function valueAt(config: Config, key: string): unknown {
  return key.split('.').reduce<unknown>((group, name) => (group as Record<string, unknown>)[name], config)
}

/** Converts a rule to the form of a configuration file. */
export function formatRule(entry: AllowEntry, user: NameUser): WrittenRule {
  return {
    name: entry.name,
    to: entry.to.map(formatDestination),
    ports: isAllPorts(entry.ports) ? undefined : entry.ports.map(formatPorts),
    protocol: entry.protocol,
    users: entry.users?.map(user),
    units: entry.units,
    whenSilent: entry.whenSilent,
    expires:
      entry.expires === undefined ? undefined : new Date(entry.expires).toISOString().replace('.000Z', 'Z'),
  }
}

/** A rule in the form of a configuration file. Keys that are undefined are not written. */
export interface WrittenRule {
  readonly name: string
  readonly to: readonly string[]
  readonly ports: readonly (number | string)[] | undefined
  readonly protocol: AllowEntry['protocol']
  readonly users: readonly (number | string)[] | undefined
  readonly units: readonly string[] | undefined
  readonly whenSilent?: AllowEntry['whenSilent']
  /** RFC 3339. */
  readonly expires: string | undefined
}

function isAllPorts(ports: readonly PortRange[]): boolean {
  return ports.some(({ first, last }) => first === 0 && last === 65535)
}

function formatService({ protocol, port }: Service): string {
  return `${protocol}/${port}`
}

function formatCallback(callback: Callback): Record<string, unknown> {
  return { ...callback, service: formatService(callback.service), ports: callback.ports.map(formatPorts) }
}

function formatPorts(range: PortRange): number | string {
  return range.first === range.last ? range.first : formatPortRange(range)
}

function formatHostPort({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
