/** Reads values of YAML files of other programs, with the lines of lists. */
import { parseYaml, type YamlValue } from '../../config/yaml.js'
import type { Origin } from '../../core/policy/origin.js'
import type { TextFile } from '../mirrors/file-reader.js'

/** A longer file counts as empty: no configuration of a resolver is so long. */
const LENGTH_AT_MOST = 1 << 18

/** Parses a file; undefined when it is empty, or no YAML. */
export function yamlOf(file: TextFile): YamlValue | undefined {
  if (file.text.length > LENGTH_AT_MOST) return undefined
  const { root, problems } = parseYaml(file.text, file.at().file)
  return problems.length === 0 ? root : undefined
}

/** Finds the value at a path of keys. */
export const valueAt = (value: YamlValue | undefined, ...path: readonly string[]): YamlValue | undefined =>
  path.reduce<YamlValue | undefined>(
    (at, key) => (at?.kind === 'mapping' ? at.entries.find((entry) => entry.key === key)?.value : undefined),
    value,
  )

/** Returns the items of a list; those of anything else are the value itself. */
export const itemsOf = (value: YamlValue | undefined): readonly YamlValue[] => {
  if (value === undefined) return []
  return value.kind === 'list' ? value.items : [value]
}

/** A text and its place. */
export interface PlacedText {
  readonly text: string
  readonly origin: Origin
}

/** Returns the scalars of a value, of a list or alone. */
export const textsOf = (value: YamlValue | undefined): PlacedText[] =>
  itemsOf(value).flatMap((item) =>
    item.kind === 'scalar' && item.value !== null ? [{ text: String(item.value), origin: item.origin }] : [],
  )

/** Returns the one text of a value. */
export const textAt = (value: YamlValue | undefined, ...path: readonly string[]): string | undefined =>
  textsOf(valueAt(value, ...path))[0]?.text
