import { readFileSync } from 'node:fs'
import { type CgroupOwner, ownerOf } from '../../core/packet/cgroup-path.js'
import { cpuTime, isAfter } from '../../system/cpu-time.js'
import { entriesOf, statusOf } from './bounded-reads.js'

/** A cgroup of the unified hierarchy (v2). */
export interface Cgroup {
  /** The path below the root of the hierarchy: `/system.slice/nginx.service`. */
  readonly path: string
  readonly place: CgroupOwner
}

/** The longest scan of the tree, in CPU time: a user who may make cgroups may make very many. */
const WALK_MS = 10
/** Scans take no larger part of the time. */
const WALK_SHARE = 0.02
/** Characters of all paths together; beyond it all are forgotten and found again. A path may have 4,096. */
const LENGTH_AT_MOST = 4_000_000
/** A cgroup's directory has two links, and one more for each directory in it. */
const LINKS_OF_LEAF = 2

/**
 * Finds a cgroup by its number, which is the inode of its directory. A number is never used again
 * (fs/kernfs: kernfs_node id), so what was found once stays right, also when the cgroup is gone.
 */
export class Cgroups {
  /** The mount point of the hierarchy; undefined when this process sees none. */
  readonly mount: string | undefined
  readonly #known = new Map<number, Cgroup>()
  #length = 0
  #walks = 0
  #notBefore = 0

  constructor(mounts = readFileSync('/proc/self/mountinfo', 'utf8')) {
    this.mount = cgroup2Mount(mounts)
  }

  /**
   * Finds a cgroup. @param now milliseconds of a monotonic clock @returns undefined when it is not there, or
   * not found in time
   */
  find(number: number, now: number): Cgroup | undefined {
    const known = this.#known.get(number)
    if (known !== undefined || this.mount === undefined || now < this.#notBefore) return known
    const took = this.#walk(this.mount)
    this.#notBefore = now + took + took / WALK_SHARE
    return this.#known.get(number)
  }

  /** The cgroup of a path of /proc/PID/cgroup. */
  at(path: string): Cgroup {
    return { path, place: ownerOf(path) }
  }

  /** The directory of a cgroup. */
  folderOf({ path }: Cgroup): string | undefined {
    return this.mount === undefined ? undefined : this.mount + path
  }

  /**
   * Scans the tree from the root: all slices and their units first, then below the units. Below a unit, a
   * service or a user with a delegated subtree may make any number of cgroups, so each scan begins there with
   * another unit.
   * @returns CPU time that the scan took: milliseconds
   */
  #walk(mount: string): number {
    if (this.#length > LENGTH_AT_MOST) this.#forget()
    const start = cpuTime()
    const isLate = isAfter(WALK_MS)
    const slices = this.#note(mount, '/') ? ['/'] : []
    const units: string[] = []
    // Both lists grow while the loops run.
    for (const path of slices)
      for (const child of this.#childrenOf(mount, path, isLate))
        (child.endsWith('.slice') ? slices : units).push(child)
    units.push(...units.splice(0, this.#walks++ % (units.length + 1)))
    for (const path of units) for (const child of this.#childrenOf(mount, path, isLate)) units.push(child)
    return cpuTime() - start
  }

  /**
   * Notes the cgroups directly below one, as long as there is time. @returns those that have cgroups below
   * them
   */
  *#childrenOf(mount: string, path: string, isLate: () => boolean): Generator<string> {
    if (isLate()) return
    for (const child of foldersIn(mount, path)) {
      if (this.#note(mount, child)) yield child
      if (isLate()) return
    }
  }

  /** Notes a cgroup. @returns whether it has cgroups below it */
  #note(mount: string, path: string): boolean {
    const stats = statusOf(mount + path)
    if (stats === undefined) return false
    if (!this.#known.has(stats.ino)) {
      this.#known.set(stats.ino, { path, place: ownerOf(path) })
      this.#length += path.length
    }
    return stats.nlink !== LINKS_OF_LEAF
  }

  #forget(): void {
    this.#known.clear()
    this.#length = 0
  }
}

/**
 * Finds the mount point. Columns of proc_pid_mountinfo(5): ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS [TAGS] -
 * TYPE SOURCE OPTIONS.
 */
function cgroup2Mount(mounts: string): string | undefined {
  const line = mounts.split('\n').find((each) => / - cgroup2 /.test(each))
  return line?.split(' ')[4]?.replaceAll('\\040', ' ')
}

/** The paths of the cgroups directly below one. */
function* foldersIn(mount: string, path: string): Generator<string> {
  const parent = path === '/' ? '' : path
  for (const entry of entriesOf(mount + path)) if (entry.isDirectory()) yield `${parent}/${entry.name}`
}
