/** The sources of a configuration, one laid over the other: files, environment, command line. */
import type { Origin } from '../core/policy/origin.js'
import type { TextFile } from './config-files.js'
import type { Leaf, Located } from './location.js'
import { COMMAND_LINE, ENVIRONMENT, nearest, type Problem, suggestion, unknownKey } from './problems.js'
import { type AnySettings, environmentName, isSetting, settingsByKey } from './setting-table.js'
import { parseYaml, step, type Written, type YamlEntry } from './yaml.js'

/** What one source says, by the key of the setting (`mirrors.ports`). */
export interface Source {
  readonly leaves: ReadonlyMap<string, Leaf>
  readonly problems: readonly Problem[]
}

/** What a file says. The main file must say something; a fragment may be all comments. */
export function fromFile(file: TextFile, settings: AnySettings, isMain: boolean): Source {
  const { root, problems } = parseYaml(file.text, file.file)
  if (problems.length > 0 && root === undefined) return { leaves: new Map(), problems }
  const collector = new Collector(settings, problems)
  const isEmpty = root === undefined || (root.kind === 'scalar' && root.value === null)
  if (!isEmpty) collector.walk(root)
  else if (isMain && problems.length === 0) {
    collector.fail({ file: file.file, line: undefined }, '', 'is empty: write at least `mode: observe`')
  }
  return collector
}

/** What variables CHECKVALVE_... say. One that is no setting is a problem: it was meant to do something. */
export function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  settings: AnySettings,
): Source {
  const names = new Map([...settingsByKey(settings).keys()].map((key) => [environmentName(key), key]))
  const collector = new Collector(settings)
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith('CHECKVALVE_') || text === undefined) continue
    const origin = { file: `${ENVIRONMENT}${name}`, line: undefined }
    const key = names.get(name)
    if (key === undefined)
      collector.fail(origin, '', `is not a setting${suggestion(nearest(name, names.keys()))}`)
    else if (text.trim() === '')
      collector.fail(origin, key, 'is empty: give it a value, or unset the variable')
    else collector.walkPath(key, readValue(text, origin.file), origin)
  }
  return collector
}

/** What `--set key=value` says; the last one for a key counts. */
export function fromCommandLine(assignments: readonly string[], settings: AnySettings): Source {
  const collector = new Collector(settings)
  const origin = { file: COMMAND_LINE, line: undefined }
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=')
    if (equals < 1)
      collector.fail(origin, assignment, 'must have the form key=value, like --set mode=observe')
    else {
      const value = readValue(assignment.slice(equals + 1), COMMAND_LINE)
      collector.walkPath(assignment.slice(0, equals).trim(), value, origin)
    }
  }
  return collector
}

/** A value in YAML; what is no YAML (`[::1]:80`) is the text itself, for the setting to judge. */
function readValue(text: string, file: string): Written {
  const { root, problems } = parseYaml(text, file, false)
  const origin = { file, line: undefined }
  if (root !== undefined && problems.length === 0) return root
  return { kind: 'scalar', value: text.trim() === '' ? null : text, origin, size: 1 }
}

/** Later sources win; two lists from files add up. */
export function merge(files: readonly Source[], overrides: readonly Source[]): Map<string, Leaf> {
  const merged = new Map<string, Leaf>()
  for (const source of files) {
    for (const [key, leaf] of source.leaves) merged.set(key, append(merged.get(key), leaf))
  }
  for (const source of overrides) for (const [key, leaf] of source.leaves) merged.set(key, leaf)
  return merged
}

function append(earlier: Leaf | undefined, later: Leaf): Leaf {
  if (!Array.isArray(earlier?.value) || !Array.isArray(later.value)) return later
  const shift = earlier.value.length
  const parts = new Map(earlier.parts)
  for (const [path, located] of later.parts) {
    parts.set(
      path.replace(/^\[(\d+)\]/, (_, index) => `[${Number(index) + shift}]`),
      located,
    )
  }
  return { ...later, value: [...earlier.value, ...later.value], parts }
}

/** Goes through a source beside the settings: finds the values of settings, and keys that are none. */
class Collector implements Source {
  readonly leaves = new Map<string, Leaf>()
  readonly problems: Problem[]
  private readonly keys: readonly string[]

  constructor(
    private readonly settings: AnySettings,
    problems: readonly Problem[] = [],
  ) {
    this.problems = [...problems]
    this.keys = [...settingsByKey(settings).keys()]
  }

  fail(origin: Origin, key: string, reason: string): void {
    this.problems.push({ origin, key, reason })
  }

  walk(written: Written, settings = this.settings, path = ''): void {
    if (written.kind === 'mapping') for (const entry of written.entries) this.walkEntry(entry, settings, path)
    else {
      const isEmpty = written.kind === 'scalar' && written.value === null
      const example = `keys with values, like \`${Object.keys(settings)[0]}: ...\``
      const reason = isEmpty ? `is empty: write its keys below it, or leave it out` : `must hold ${example}`
      this.fail(written.origin, path, reason)
    }
  }

  /** The same for one value whose place is given as a path (`mirrors.ports`). */
  walkPath(path: string, value: Written, origin: Origin): void {
    const [key = '', ...rest] = path.split('.').reverse()
    const entry = rest.reduce<YamlEntry>((inner, name) => wrap(name, inner, origin), { key, value, origin })
    this.walkEntry(entry, this.settings, '')
  }

  private walkEntry(entry: YamlEntry, settings: AnySettings, path: string): void {
    const key = step(path, entry.key)
    const inside = Object.hasOwn(settings, entry.key) ? settings[entry.key] : undefined
    if (inside === undefined) this.fail(entry.origin, key, this.unknown(entry.key, settings))
    else if (!isSetting(inside)) this.walk({ ...entry.value, origin: entry.origin }, inside, key)
    else {
      const parts = new Map<string, Located>()
      const value = plain(entry.value, '', key, parts)
      this.leaves.set(key, { origin: entry.origin, key, value, parts })
    }
  }

  private unknown(key: string, group: AnySettings): string {
    return unknownKey(key, Object.keys(group), this.keys)
  }
}

function wrap(key: string, inner: YamlEntry, origin: Origin): YamlEntry {
  return { key, origin, value: { kind: 'mapping', entries: [inner], origin, size: 1 } }
}

/** Plain data without prototypes, so that a key such as `__proto__` is only a key. Notes each place on the way. */
function plain(written: Written, path: string, key: string, parts: Map<string, Located>): unknown {
  if (written.kind === 'scalar') return written.value
  const into = (inside: string | number, origin: Origin, value: Written): unknown => {
    const [innerPath, innerKey] = [step(path, inside), step(key, inside)]
    parts.set(innerPath, { origin, key: innerKey })
    return plain(value, innerPath, innerKey, parts)
  }
  if (written.kind === 'list') return written.items.map((item, index) => into(index, item.origin, item))
  const mapping: Record<string, unknown> = Object.create(null)
  for (const entry of written.entries) mapping[entry.key] = into(entry.key, entry.origin, entry.value)
  return mapping
}
