import { readFileSync, type Stats, statSync } from 'node:fs'
import { type Place, placeOf } from '../core/cgroup-path.js'
import { entriesOf } from './entries.js'

/** A cgroup of the unified hierarchy (v2). */
export interface Cgroup {
  /** Below the root of the hierarchy: `/system.slice/nginx.service`. */
  readonly path: string
  readonly place: Place
}

/** A look through the tree takes no longer: who may make cgroups may make very many. */
const WALK_MS = 10
/** And no more than this part of the time. */
const WALK_SHARE = 0.02
/** More are forgotten, and found anew. */
const KNOWN_AT_MOST = 65_536
/** cgroups(7): a directory has two links, and one more for each directory in it. */
const LINKS_OF_LEAF = 2

/**
 * Finds a cgroup by its number, which is the inode of its directory. A number is never used again
 * (fs/kernfs: kernfs_node id), so what was found once stays right, also when the cgroup is gone.
 */
export class Cgroups {
  /** Where the hierarchy is mounted; undefined: nowhere that this process sees. */
  readonly mount: string | undefined
  readonly #known = new Map<number, Cgroup>()
  #notBefore = 0

  constructor(mounts = readFileSync('/proc/self/mountinfo', 'utf8')) {
    this.mount = cgroup2Mount(mounts)
  }

  /** @param now milliseconds of a monotonic clock @returns undefined where it is not there, or not found in time */
  find(number: number, now: number): Cgroup | undefined {
    const known = this.#known.get(number)
    if (known !== undefined || this.mount === undefined || now < this.#notBefore) return known
    const took = this.#walk(this.mount)
    this.#notBefore = now + took + took / WALK_SHARE
    return this.#known.get(number)
  }

  /** The cgroup of a path as /proc/PID/cgroup has it. */
  at(path: string): Cgroup {
    return { path, place: placeOf(path) }
  }

  /** Its directory. */
  folderOf({ path }: Cgroup): string | undefined {
    return this.mount === undefined ? undefined : this.mount + path
  }

  /** From the root on, level by level: a unit of the system is found before what a user has put below one. @returns milliseconds */
  #walk(mount: string): number {
    if (this.#known.size > KNOWN_AT_MOST) this.#known.clear()
    const start = performance.now()
    const isLate = () => performance.now() - start > WALK_MS
    const paths = ['/']
    for (let i = 0; i < paths.length && !isLate(); i++) {
      const path = paths[i]!
      const stats = statOf(mount + path)
      if (stats === undefined) continue
      if (!this.#known.has(stats.ino)) this.#known.set(stats.ino, { path, place: placeOf(path) })
      if (stats.nlink !== LINKS_OF_LEAF) paths.push(...foldersIn(mount, path, isLate))
    }
    return performance.now() - start
  }
}

/** proc_pid_mountinfo(5): ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS. */
function cgroup2Mount(mounts: string): string | undefined {
  const line = mounts.split('\n').find((each) => / - cgroup2 /.test(each))
  return line?.split(' ')[4]?.replaceAll('\\040', ' ')
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}

/** The paths of the cgroups directly below one. */
function foldersIn(mount: string, path: string, isLate: () => boolean): string[] {
  const found: string[] = []
  const parent = path === '/' ? '' : path
  for (const entry of entriesOf(mount + path)) {
    if (entry.isDirectory()) found.push(`${parent}/${entry.name}`)
    if (isLate()) break
  }
  return found
}
