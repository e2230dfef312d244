/** Has convict apply defaults, files, environment and command line to a schema, and check the result. */
import convict from 'convict'
import type { UserLookup } from '../system/users.js'
import { DEFAULT, locationOf, type WrittenValue } from './location.js'
import { type BoundSetting, formatOf } from './named-formats.js'
import type { Problem } from './problems.js'
import { mapSettings, type Settings, settingsByKey, type ValuesOf } from './setting-table.js'

/**
 * Written values by the key of their setting. Values of environment and command line are text, as convict
 * takes it.
 */
export interface Sources {
  readonly files: ReadonlyMap<string, WrittenValue>
  readonly environment: ReadonlyMap<string, WrittenValue>
  readonly commandLine: ReadonlyMap<string, WrittenValue>
}

export interface Validated<Schema> {
  /** In the groups of the schema; undefined where a value is wrong. */
  readonly values: ValuesOf<Schema>
  /** The written values that are in force; settings with their defaults are missing. */
  readonly written: ReadonlyMap<string, WrittenValue>
  readonly problems: readonly Problem[]
}

/**
 * Validates the values of all sources: files, overridden by the environment, overridden by the command line.
 * Defaults fill in the rest.
 */
export function validate<Schema extends Settings>(
  settings: Schema,
  { files, environment, commandLine }: Sources,
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

/** Returns the environment for convict: values by the name of their variable. */
function variables(settings: Settings, environment: Sources['environment']): Record<string, string> {
  const byKey = settingsByKey(settings)
  return Object.fromEntries([...environment].map(([key, { value }]) => [byKey.get(key)!.env, String(value)]))
}

/** Nests a value in its groups: `{ mirrors: { ports: value } }` for the key `mirrors.ports`. */
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
