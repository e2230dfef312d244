import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Quarantined } from '../core/ruleset/ruleset.js'
import { StateFile, type StateFileOptions } from '../system/state-file.js'
import { isMapping, parseJson } from '../text/json.js'

/** In the state directory. */
const FILE = 'quarantine.json'
/** Larger than any user id; and a path below a hierarchy, which goes into a command of nft. */
const UIDS = 2 ** 32 - 1
const CGROUP = /^(\/[\w:.@\\-]{1,255}){1,8}$/

/** Keeps the quarantined senders on disk for the next start. */
export class QuarantineFile {
  readonly #path: string
  readonly #file: StateFile
  #entries: readonly Quarantined[] = []

  constructor(directory: string, log: StateFileOptions['log']) {
    this.#path = join(directory, FILE)
    this.#file = new StateFile({
      path: this.#path,
      text: () => textOf(this.#entries),
      loss: 'a restart ends a quarantine that began meanwhile',
      log,
    })
    // Without a quarantine no file is needed.
    this.#file.remember(textOf([]))
  }

  /** Reads the entries of an earlier run. What is not right in the file is left out. @param now milliseconds since the epoch */
  read(now: number): Quarantined[] {
    const entries = parse(this.#path).filter(({ until }) => until > now)
    if (entries.length > 0) this.keep(entries)
    return entries
  }

  /** Writes the entries at the next tick. */
  keep(entries: readonly Quarantined[]): void {
    this.#entries = entries
    this.#file.change()
  }

  /** @param now as StateFile.tick */
  tick(now: number): Promise<void> {
    return this.#file.tick(now)
  }

  /** Writes what has changed, before the service ends. */
  async write(): Promise<void> {
    await this.#file.write()
  }
}

const textOf = (quarantined: readonly Quarantined[]): string =>
  `${JSON.stringify({ quarantined }, null, 1)}\n`

function parse(path: string): Quarantined[] {
  const read = parseJson(textIn(path))
  const list = isMapping(read) && Array.isArray(read.quarantined) ? (read.quarantined as unknown[]) : []
  return list.flatMap((each) => {
    if (!isMapping(each)) return []
    const { uid, cgroup, until } = each
    const isRight =
      Number.isInteger(uid) && (uid as number) >= 0 && (uid as number) < UIDS && Number.isFinite(until)
    return isRight
      ? [{ uid: uid as number, until: until as number, cgroup: isCgroup(cgroup) ? cgroup : undefined }]
      : []
  })
}

/** Whether a value is the path of a cgroup that can be written into a command of nft. */
export const isCgroup = (value: unknown): value is string => typeof value === 'string' && CGROUP.test(value)

function textIn(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
