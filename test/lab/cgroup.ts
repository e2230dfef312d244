/** Cgroups for tests, as systemd would make them for units. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { idsOf } from './users.js'

/** Where the unified hierarchy is mounted, as cgroup2 in /proc/self/mountinfo; undefined where it is not. */
const mount = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .find((line) => line.includes(' - cgroup2 '))
  ?.split(' ')[4]

/** A word before a command that starts it in the cgroup of the directory $1. */
const ENTER = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'

/** A tree of cgroups of this process alone, under one slice. */
export class Cgroups {
  /** Its slice, a unit of its own. */
  readonly slice: string
  readonly #folders: string[] = []

  private constructor(private readonly root: string) {
    this.slice = `checkvalvetest${process.pid}${Math.floor(Math.random() * 1e6)}.slice`
    this.add('')
  }

  /** undefined where this user may not make any, or there is no unified hierarchy. */
  static create(): Cgroups | undefined {
    if (mount === undefined) return undefined
    try {
      return new Cgroups(mount)
    } catch (error) {
      if (['EACCES', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
      throw error
    }
  }

  /** A cgroup below the slice, whose parent is there: `add('web.service')`. */
  add(path: string): string {
    const folder = `${this.root}/${this.slice}${path === '' ? '' : `/${path}`}`
    mkdirSync(folder)
    this.#folders.unshift(folder)
    return folder
  }

  /** A command in a cgroup, as a user. */
  command(path: string, user: string, ...argv: string[]): string[] {
    const { uid, gid } = idsOf(user)
    const folder = `${this.root}/${this.slice}/${path}`
    const as = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
    return ['sh', '-c', ENTER, 'enter', folder, ...as, ...argv]
  }

  /** Once nothing runs in them any more. */
  remove(): void {
    for (const folder of this.#folders) rmdirSync(folder)
  }
}
