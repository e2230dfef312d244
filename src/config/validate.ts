/** Has convict apply defaults, files, environment and command line to a schema, and check the result. */
import convict from 'convict'
import type { UserLookup } from '../system/users.js'
import { DEFAULT, type Leaf, locationOf } from './location.js'
import { type BoundSetting, formatOf } from './named-formats.js'
import type { Problem } from './problems.js'
import { mapSettings, type Settings, settingsByKey, type ValuesOf } from './setting-table.js'

/** Written values by the key of their setting. Those of environment and command line are text. */
export interface WrittenValues {
  readonly files: ReadonlyMap<string, Leaf>
  readonly environment: ReadonlyMap<string, Leaf>
  readonly commandLine: ReadonlyMap<string, Leaf>
}

export interface Validated<Schema> {
  /** In the groups of the schema; undefined where a value is wrong. */
  readonly values: ValuesOf<Schema>
  /** The values that were written and are in force. */
  readonly written: ReadonlyMap<string, Leaf>
  readonly problems: readonly Problem[]
}

export function validate<Schema extends Settings>(
  settings: Schema,
  { files, environment, commandLine }: WrittenValues,
  lookup: UserLookup,
): Validated<Schema> {
  const written = new Map([...files, ...environment, ...commandLine])
  const problems: Problem[] = []
  const locate = (key: string, into: Problem[]) =>
    locationOf(written.get(key) ?? { origin: DEFAULT, key }, into)
  const bound = mapSettings(settings, (key, setting): BoundSetting => {
    return { ...setting, lookup, location: () => locate(key, problems) }
  })
  const config = convict<unknown>(bound as convict.Schema<unknown>, {
    env: variables(settings, environment),
    args: [],
  })
  // Each load is followed by the environment, which overrides files.
  for (const [key, { value }] of files) config.load(nest(key, value))
  for (const [key, { value }] of commandLine) config.set(key, value)
  const refusal = errorOf(() => config.validate({ allowed: 'strict' }))
  if (refusal !== undefined && problems.length === 0)
    problems.push({ origin: DEFAULT, key: '', reason: refusal })
  const values = mapSettings(settings, (key, setting) =>
    formatOf(setting, lookup)(config.get(key as never), locate(key, [])),
  )
  return { values: values as ValuesOf<Schema>, written, problems }
}

/** The environment of convict: variables by name. */
function variables(settings: Settings, environment: WrittenValues['environment']): Record<string, string> {
  const byKey = settingsByKey(settings)
  return Object.fromEntries([...environment].map(([key, { value }]) => [byKey.get(key)!.env, String(value)]))
}

/** `{ mirrors: { ports: value } }` for the key `mirrors.ports`. */
function nest(key: string, value: unknown): object {
  return key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object
}

/** Returns the message of what `action` throws. */
function errorOf(action: () => void): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
