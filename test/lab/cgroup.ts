/** Makes cgroups for tests, as systemd does for units. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { idsOf } from './users.js'

/**
 * The mount point of the unified hierarchy (cgroup2 in /proc/self/mountinfo); undefined when it is not
 * mounted.
 */
const mount = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .find((line) => line.includes(' - cgroup2 '))
  ?.split(' ')[4]

/** ENTER FOLDER COMMAND...: runs a command in the cgroup of a folder. */
const ENTER = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'

/** A tree of cgroups of this process alone, under one slice. */
export class Cgroups {
  /** The name of the slice, which is a unit of its own. */
  readonly slice: string
  readonly #folders: string[] = []

  private constructor(private readonly root: string) {
    this.slice = `checkvalvetest${process.pid}${Math.floor(Math.random() * 1e6)}.slice`
    this.add('')
  }

  /** Makes the slice. @returns undefined when this user may not, or there is no unified hierarchy */
  static create(): Cgroups | undefined {
    if (mount === undefined) return undefined
    try {
      return new Cgroups(mount)
    } catch (error) {
      if (['EACCES', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
      throw error
    }
  }

  /** Makes a cgroup below the slice, whose parent exists: `add('web.service')`. @returns its folder */
  add(path: string): string {
    const folder = `${this.root}/${this.slice}${path === '' ? '' : `/${path}`}`
    mkdirSync(folder)
    this.#folders.unshift(folder)
    return folder
  }

  /** Returns a command line that runs a command in a cgroup as a user. */
  command(path: string, user: string, ...argv: string[]): string[] {
    const { uid, gid } = idsOf(user)
    const folder = `${this.root}/${this.slice}/${path}`
    const as = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
    return ['sh', '-c', ENTER, 'enter', folder, ...as, ...argv]
  }

  /** Removes all cgroups. No process may run in them. */
  remove(): void {
    for (const folder of this.#folders) rmdirSync(folder)
  }
}
