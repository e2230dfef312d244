/** A table of settings, and convict as its judge: it fills in the defaults and checks every value. */

import convict from 'convict'
import { isMapping } from '../text/json.js'
import type { Leaf } from './location.js'
import { DEFAULT, locationOf } from './location.js'
import type { Problem } from './problems.js'
import { type AnySettings, environmentName, isSetting, type Setting, settingsByKey } from './setting-table.js'
import { step } from './yaml.js'

/** The one convict format: a setting checks itself, and convict must not turn texts into numbers or lists before. */
const FORMAT = 'setting'

convict.addFormat({
  name: FORMAT,
  validate: (value, schema) => (schema as ConvictSetting).check(value),
  coerce: (value) => value,
})

interface ConvictSetting extends convict.SchemaObj {
  /** Throws an Error for a value that is wrong. */
  check(value: unknown): void
}

interface ConvictSchema {
  [key: string]: ConvictSchema | ConvictSetting
}

type Check = (key: string, setting: Setting<unknown>, value: unknown) => void

function convictSchema(settings: AnySettings, check: Check, path = ''): ConvictSchema {
  const schema: ConvictSchema = {}
  for (const [name, node] of Object.entries(settings)) {
    const key = step(path, name)
    schema[name] = isSetting(node)
      ? {
          doc: node.doc,
          default: node.default,
          env: environmentName(key),
          format: FORMAT,
          check: (value) => check(key, node, value),
        }
      : convictSchema(node, check, key)
  }
  return schema
}

export interface Validated {
  /** In the shape of the table; undefined where a value is wrong. */
  readonly values: Readonly<Record<string, unknown>>
  readonly problems: readonly Problem[]
}

/** Has convict go through all settings: those that were written, and the defaults of the others. */
export function validate(settings: AnySettings, leaves: ReadonlyMap<string, Leaf>): Validated {
  const values = new Map<string, unknown>()
  const problems: Problem[] = []
  const check: Check = (key, setting, value) => {
    const leaf = leaves.get(key)
    const place = locationOf(leaf ?? { origin: DEFAULT, key }, leaf?.parts ?? new Map(), problems)
    const parsed = setting.format(value, place)
    if (parsed === undefined) throw new Error('refused')
    values.set(key, parsed)
  }
  // The environment is one of the sources of `leaves` already: convict reads it as bare text, without lists.
  const judge = convict<Record<string, unknown>>(
    convictSchema(settings, check) as convict.Schema<Record<string, unknown>>,
    {
      env: {},
      args: [],
    },
  )
  for (const [key, leaf] of leaves) {
    // convict takes a mapping for a group of settings, and loses the setting.
    if (isMapping(leaf.value)) refuse(() => check(key, settingsByKey(settings).get(key)!, leaf.value))
    else judge.set(key, leaf.value)
  }
  const refusal = refuse(() => judge.validate({ allowed: 'strict' }))
  if (refusal !== undefined && problems.length === 0) {
    problems.push({ origin: DEFAULT, key: '', reason: refusal })
  }
  return { values: arrange(settings, values), problems }
}

function arrange(
  settings: AnySettings,
  values: ReadonlyMap<string, unknown>,
  path = '',
): Record<string, unknown> {
  const entries = Object.entries(settings).map(([name, node]) => {
    const key = step(path, name)
    return [name, isSetting(node) ? values.get(key) : arrange(node, values, key)]
  })
  return Object.fromEntries(entries)
}

/** The message of what `action` throws. */
function refuse(action: () => void): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
