/** The shape of a schema, and the type of the values that it describes. */
import type { FORMATS, FormatName, FormatValue } from './named-formats.js'
import { step } from './yaml.js'

/** The keys that a setting of this format has in the schema, besides those that all settings have. */
type ParametersOf<Name extends FormatName> =
  Parameters<(typeof FORMATS)[Name]> extends [infer Given, ...unknown[]] ? Given : unknown

/** One setting, as convict takes it, with the parameters of its format. */
export type Setting = {
  readonly [Name in FormatName]: {
    readonly doc: string
    readonly format: Name
    /** As it would be written in the file. */
    readonly default: unknown
    /** Its environment variable. */
    readonly env: string
  } & ParametersOf<Name>
}[FormatName]

/** Settings by name, in groups. */
export interface Settings {
  readonly [name: string]: Setting | Settings
}

/** The type of the values of a schema: each as its format parses it, in the same groups. */
export type ValuesOf<Node> = Node extends { format: 'choice'; words: readonly (infer Word)[] }
  ? Word
  : Node extends { format: infer Name extends FormatName }
    ? FormatValue<Name>
    : { readonly [Key in keyof Node]: ValuesOf<Node[Key]> }

/** convict takes a node with a default for a setting, and any other for a group. */
export function isSetting(node: Setting | Settings): node is Setting {
  return 'default' in node
}

/**
 * Returns the same groups with what `change` makes of each setting. `key` is the whole key, like
 * `firewall.mark.mask`.
 */
export function mapSettings(
  settings: Settings,
  change: (key: string, setting: Setting) => unknown,
  path = '',
): Record<string, unknown> {
  const changed = Object.entries(settings).map(([name, node]) => {
    const key = step(path, name)
    return [name, isSetting(node) ? change(key, node) : mapSettings(node, change, key)]
  })
  return Object.fromEntries(changed)
}

/** All settings by their whole key, in the order of the schema. */
export function settingsByKey(settings: Settings): Map<string, Setting> {
  const found = new Map<string, Setting>()
  mapSettings(settings, (key, setting) => found.set(key, setting))
  return found
}
