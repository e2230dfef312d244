/** Keeps runtime entries on disk for the next start. */
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { rule } from '../config/allow.js'
import { readText } from '../config/config-files.js'
import { fieldsOf, listOrNone } from '../config/formats.js'
import { type ConfigLocation, type Format, locationOf } from '../config/location.js'
import { formatProblem, type Problem, quote } from '../config/problems.js'
import { formatRule } from '../config/show.js'
import type { AllowEntry } from '../config/types.js'
import type { ServiceLog } from '../system/service-log.js'
import { StateFile } from '../system/state-file.js'
import type { UserLookup } from '../system/users.js'

/** Limits of runtime entries: more of them belong into a configuration file. */
export const ENTRIES_AT_MOST = 256
export const BYTES_AT_MOST = 512 * 1024

/** In the state directory. */
const RUNTIME_FILE = 'allow.json'

/** Writes entries as JSON, with user ids, since a name may belong to another user tomorrow. */
export const entriesText = (entries: readonly AllowEntry[]): string =>
  `${JSON.stringify({ entries: entries.map((entry) => formatRule(entry, (uid) => uid)) }, null, 1)}\n`

/** The origin of an entry, which `explain` and messages name. */
const originOf = (path: string): AllowEntry['origin'] => ({
  file: `runtime entry in ${path}`,
  line: undefined,
})

/** Reads the right entries of a state directory, and leaves the file as it is: for commands. */
export function readRuntimeEntries(directory: string, lookup: UserLookup): AllowEntry[] {
  const path = join(directory, RUNTIME_FILE)
  const problems: Problem[] = []
  return parse(path, lookup, locationOf({ origin: originOf(path), key: '' }, problems), problems)
}

/** @param problems the list that `place` adds to */
function parse(
  path: string,
  lookup: UserLookup,
  place: ConfigLocation,
  problems: readonly Problem[],
): AllowEntry[] {
  const read = readText(path)
  if ('reason' in read) return place.fail(read.reason) ?? []
  try {
    return entriesOf(lookup, JSON.parse(read.text), place, problems)
  } catch (error) {
    return place.fail(`is no JSON: ${(error as Error).message}`) ?? []
  }
}

export class RuntimeEntriesFile {
  readonly path: string
  readonly #log: Pick<ServiceLog, 'warn' | 'error'>
  readonly #file: StateFile
  #entries: readonly AllowEntry[] = []

  constructor(directory: string, log: Pick<ServiceLog, 'warn' | 'error'>) {
    this.path = join(directory, RUNTIME_FILE)
    this.#log = log
    this.#file = new StateFile({
      path: this.path,
      text: () => entriesText(this.#entries),
      loss: 'a restart loses the latest runtime entries',
      log,
    })
    // Without entries no file is needed.
    this.#file.remember(entriesText([]))
  }

  get origin(): AllowEntry['origin'] {
    return originOf(this.path)
  }

  /**
   * Reads the entries of an earlier run at start. A file with an error is set aside; its right entries count.
   */
  read(lookup: UserLookup): AllowEntry[] {
    if (!existsSync(this.path)) return []
    const problems: Problem[] = []
    const place = locationOf({ origin: this.origin, key: '' }, problems)
    const entries = parse(this.path, lookup, place, problems)
    if (problems.length > 0) this.#setAside(problems, entries)
    else this.#file.remember(entriesText(entries))
    return entries
  }

  /**
   * Keeps these entries for the next start. @returns why they could not be written, or undefined when they
   * are on disk
   */
  keep(entries: readonly AllowEntry[]): Promise<string | undefined> {
    this.#entries = entries
    this.#file.change()
    return this.#file.write()
  }

  /** Retries a write that failed. @param now as StateFile.tick */
  tick(now: number): Promise<void> {
    return this.#file.tick(now)
  }

  #setAside(problems: readonly Problem[], entries: readonly AllowEntry[]): void {
    const aside = `${this.path}.bad`
    for (const problem of problems) this.#log.error(`not in force: ${formatProblem(problem)}`)
    try {
      renameSync(this.path, aside)
      this.#log.warn(
        `the file was set aside as ${aside}; ${entries.length} runtime entries of it are in force`,
      )
    } catch (error) {
      this.#log.error(`${this.path} cannot be set aside: ${(error as Error).message}`)
    }
  }
}

/**
 * Returns the entries without any error (without its users, an entry would be for everybody), and reports the
 * others to `place`.
 */
function entriesOf(
  lookup: UserLookup,
  value: unknown,
  place: ConfigLocation,
  problems: readonly Problem[],
): AllowEntry[] {
  const list: Format<readonly unknown[]> = listOrNone((item) => item ?? null, '[...]')
  const written = fieldsOf(value, place, ['entries'])?.required('entries', list) ?? []
  const entries = new Map<string, AllowEntry>()
  for (const [index, item] of written.entries()) {
    const at = place.at('entries').at(index)
    const before = problems.length
    const entry = rule(lookup)(item, at)
    if (entry === undefined || problems.length > before) continue
    if (entries.has(entry.name)) at.fail(`${quote(entry.name)} is there twice`)
    else if (entries.size >= ENTRIES_AT_MOST) at.fail(`there are more than ${ENTRIES_AT_MOST}`)
    else entries.set(entry.name, entry)
  }
  return [...entries.values()]
}
