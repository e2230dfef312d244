/** The formats that the schema names, and their registration with convict. */
import convict from 'convict'
import type { UserLookup } from '../system/users.js'
import { rules } from './allow.js'
import {
  absolutePath,
  autoOr,
  choice,
  count,
  duration,
  flag,
  listOrNone,
  sixBitMask,
  urlPath,
} from './formats.js'
import type { ConfigLocation, Format } from './location.js'
import * as network from './network.js'
import { formatProblem } from './problems.js'
import { parseValue, plain } from './yaml.js'

interface Limits<T> {
  readonly min: T
  readonly max: T
}

/**
 * Makes each format from the parameters that a setting has in the schema, and from the users of this host.
 */
export const FORMATS = {
  choice: ({ words }: { readonly words: readonly string[] }) => choice(...words),
  flag: () => flag,
  count: ({ min, max }: Limits<number>) => count(min, max),
  'queue-count': () => oneQueue,
  'six-bit-mask': () => sixBitMask,
  duration: ({ min, max }: Limits<string>) => duration(min, max),
  path: ({ max, words = [] }: { readonly max: number; readonly words?: readonly string[] }) =>
    absolutePath(max, ...words),
  'url-path': ({ taken }: { readonly taken: readonly string[] }) => urlPath(...taken),
  listen: () => network.listen,
  endpoint: () => network.endpoint,
  services: () => autoOr(network.serviceOrAuto, '[auto, udp/51820]'),
  callbacks: () => listOrNone(network.callback, '[{ service: 21, protocol: tcp, ports: "1024-65535" }]'),
  resolvers: () => autoOr(network.prefix, '[192.0.2.53]'),
  'time-servers': () => autoOr(network.destination, '[ntp.example.org]'),
  mirrors: () => listOrNone(network.configuredDestination, '[mirror.example.org]'),
  ports: () => network.ports,
  users: (_: unknown, lookup: UserLookup) => network.usersOrDefault(lookup),
  'user-list': (_: unknown, lookup: UserLookup) => listOrNone(network.user(lookup), '[haproxy]'),
  rules: (_: unknown, lookup: UserLookup) => rules(lookup),
}

export type FormatName = keyof typeof FORMATS

/** The type of the values that a format returns. */
export type FormatValue<Name extends FormatName> =
  ReturnType<(typeof FORMATS)[Name]> extends Format<infer Value> ? Value : never

/** The format of `queue.count`: one queue is served. */
const oneQueue: Format<number> = (value, location) => {
  const queues = count(1, 65536)(value, location)
  return queues === undefined || queues === 1
    ? queues
    : location.fail('only one queue is served in this version: write 1')
}

/** Returns the format of a setting. */
export function formatOf(setting: { readonly format: FormatName }, lookup: UserLookup): Format<unknown> {
  const make = FORMATS[setting.format] as (parameters: unknown, lookup: UserLookup) => Format<unknown>
  return make(setting, lookup)
}

/** A setting of the schema, with what its format needs to validate one configuration. */
export interface BoundSetting {
  readonly format: FormatName
  readonly lookup: UserLookup
  /** Returns the location of the value, where the format reports problems. */
  location(): ConfigLocation
}

for (const name of Object.keys(FORMATS)) {
  convict.addFormat({
    name,
    validate: (value, setting) => validate(value, setting as convict.SchemaObj & BoundSetting),
    // A path may hold what means something in YAML, such as ` #`.
    coerce: name === 'path' ? (text) => text : fromText,
  })
}

/**
 * Validates a value for convict. Its problems are reported at their own locations, of which convict knows
 * nothing.
 * @throws Error with the problems, so that convict refuses the value
 */
function validate(value: unknown, setting: BoundSetting): void {
  const location = setting.location()
  const before = location.problems.length
  formatOf(setting, setting.lookup)(value, location)
  const problems = location.problems.slice(before)
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join('\n'))
}

/**
 * Reads a text as a YAML list or scalar. Other text, such as `[::1]:80` or a mapping, stays as it is, for the
 * format to check. convict calls this for every text: environment, `--set`, defaults, and quoted text in files.
 */
function fromText(text: string): unknown {
  const value = parseValue(text, '')
  return value.kind === 'mapping' ? text : plain(value)
}
