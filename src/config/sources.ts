/**
 * Reads the sources of a configuration (files, environment, command line), and finds keys that are no
 * settings.
 */
import type { Origin } from '../core/policy/origin.js'
import type { TextFile } from './config-files.js'
import type { ValueOrigin, WrittenValue } from './location.js'
import {
  COMMAND_LINE,
  ENVIRONMENT,
  MAPPING,
  nearest,
  type Problem,
  suggestion,
  unknownKey,
} from './problems.js'
import { isSetting, type Settings, settingsByKey } from './setting-table.js'
import { parseValue, parseYaml, plain, step, type YamlEntry, type YamlValue } from './yaml.js'

/** The values of one source by the key of their setting (`mirrors.ports`), and its problems. */
export interface Source {
  readonly values: ReadonlyMap<string, WrittenValue>
  readonly problems: readonly Problem[]
}

/** Reads one file. The main file must hold something; a fragment may be all comments. */
export function fromFile(file: TextFile, settings: Settings, isMain: boolean): Source {
  const { root, problems } = parseYaml(file.text, file.file)
  if (problems.length > 0 && root === undefined) return { values: new Map(), problems }
  const collector = new Collector(settings, problems)
  const isEmpty = root === undefined || (root.kind === 'scalar' && root.value === null)
  if (!isEmpty) collector.walk(root)
  else if (isMain && problems.length === 0) {
    collector.fail({ file: file.file, line: undefined }, '', 'is empty: write at least `mode: observe`')
  }
  return collector
}

/**
 * Finds the variables CHECKVALVE_... that set something: their values are text, for convict to read. A
 * variable that is no setting is a problem, because it was meant to have an effect.
 */
export function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  settings: Settings,
): Source {
  const keys = new Map([...settingsByKey(settings)].map(([key, { env }]) => [env, key]))
  const collector = new Collector(settings)
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('CHECKVALVE_') || value === undefined) continue
    const origin = { file: `${ENVIRONMENT}${name}`, line: undefined }
    const key = keys.get(name)
    if (key === undefined)
      collector.fail(origin, '', `is not a setting${suggestion(nearest(name, keys.keys()))}`)
    else if (value.trim() === '')
      collector.fail(origin, key, 'is empty: give it a value, or unset the variable')
    else collector.values.set(key, { origin, key, value })
  }
  return collector
}

/** Reads `--set key=value`: values are text, for convict to read. The last one for a key counts. */
export function fromCommandLine(assignments: readonly string[], settings: Settings): Source {
  const collector = new Collector(settings)
  const keys = settingsByKey(settings)
  const origin = { file: COMMAND_LINE, line: undefined }
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=')
    const [key, value] = [assignment.slice(0, equals).trim(), assignment.slice(equals + 1)]
    if (equals < 1)
      collector.fail(origin, assignment, 'must have the form key=value, like --set mode=observe')
    else if (keys.has(key)) collector.values.set(key, { origin, key, value })
    else collector.walkPath(key, parseValue(value, COMMAND_LINE), origin)
  }
  return collector
}

/** Merges files: later ones override, but two lists add up, where convict would replace the first. */
export function mergeFiles(files: readonly Source[]): Map<string, WrittenValue> {
  const merged = new Map<string, WrittenValue>()
  for (const { values } of files) {
    for (const [key, value] of values) merged.set(key, append(merged.get(key), value))
  }
  return merged
}

function append(earlier: WrittenValue | undefined, later: WrittenValue): WrittenValue {
  if (!Array.isArray(earlier?.value) || !Array.isArray(later.value)) return later
  const shift = earlier.value.length
  const parts = new Map(earlier.parts)
  for (const [path, located] of later.parts ?? []) {
    parts.set(
      path.replace(/^\[(\d+)\]/, (_, index) => `[${Number(index) + shift}]`),
      located,
    )
  }
  return { ...later, value: [...earlier.value, ...later.value], parts }
}

/** Walks through a source: collects the values of settings, and reports keys that are no settings. */
class Collector implements Source {
  readonly values = new Map<string, WrittenValue>()
  readonly problems: Problem[]
  private readonly keys: readonly string[]

  constructor(
    private readonly settings: Settings,
    problems: readonly Problem[] = [],
  ) {
    this.problems = [...problems]
    this.keys = [...settingsByKey(settings).keys()]
  }

  fail(origin: Origin, key: string, reason: string): void {
    this.problems.push({ origin, key, reason })
  }

  walk(written: YamlValue, settings = this.settings, path = ''): void {
    if (written.kind === 'mapping') for (const entry of written.entries) this.walkEntry(entry, settings, path)
    else {
      const isEmpty = written.kind === 'scalar' && written.value === null
      const example = `keys with values, like \`${Object.keys(settings)[0]}: ...\``
      const reason = isEmpty ? `is empty: write its keys below it, or leave it out` : `must hold ${example}`
      this.fail(written.origin, path, reason)
    }
  }

  /** Adds one value whose key is given as a path (`mirrors.ports`). */
  walkPath(path: string, value: YamlValue, origin: Origin): void {
    const [key = '', ...rest] = path.split('.').reverse()
    const entry = rest.reduce<YamlEntry>((inner, name) => wrap(name, inner, origin), { key, value, origin })
    this.walkEntry(entry, this.settings, '')
  }

  private walkEntry(entry: YamlEntry, settings: Settings, path: string): void {
    const key = step(path, entry.key)
    const inside = Object.hasOwn(settings, entry.key) ? settings[entry.key] : undefined
    if (inside === undefined) this.fail(entry.origin, key, this.unknown(entry.key, settings))
    else if (!isSetting(inside)) this.walk({ ...entry.value, origin: entry.origin }, inside, key)
    else {
      const parts = new Map<string, ValueOrigin>()
      const note = (path: string, origin: Origin) => parts.set(path, { origin, key: `${key}${path}` })
      const value = entry.value.kind === 'mapping' ? MAPPING : plain(entry.value, note)
      this.values.set(key, { origin: entry.origin, key, value, parts })
    }
  }

  private unknown(key: string, group: Settings): string {
    return unknownKey(key, Object.keys(group), this.keys)
  }
}

function wrap(key: string, inner: YamlEntry, origin: Origin): YamlEntry {
  return { key, origin, value: { kind: 'mapping', entries: [inner], origin, size: 1 } }
}
