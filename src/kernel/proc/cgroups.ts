import { readFileSync } from 'node:fs'
import { type CgroupOwner, ownerOf } from '../../core/packet/cgroup-path.js'
import { cpuTime, isAfter } from '../../system/cpu-time.js'
import { entriesOf, statusOf } from './bounded-reads.js'

/** A cgroup of the unified hierarchy (v2). */
export interface Cgroup {
  /** Below the root of the hierarchy: `/system.slice/nginx.service`. */
  readonly path: string
  readonly place: CgroupOwner
}

/** A look through the tree takes no longer: who may make cgroups may make very many. */
const WALK_MS = 10
/** And no more than this part of the time. */
const WALK_SHARE = 0.02
/** Characters of all paths together: more are forgotten, and found anew. A path may have 4,096. */
const LENGTH_AT_MOST = 4_000_000
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
  #length = 0
  #walks = 0
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
    return { path, place: ownerOf(path) }
  }

  /** Its directory. */
  folderOf({ path }: Cgroup): string | undefined {
    return this.mount === undefined ? undefined : this.mount + path
  }

  /**
   * From the root on, and through all slices and their units before anything below a unit: there a service, or a user to whom
   * a part of the tree is handed over, may make as many as it likes. So the units take turns in being the first there.
   * @returns the time that it took, in milliseconds
   */
  #walk(mount: string): number {
    if (this.#length > LENGTH_AT_MOST) this.#forget()
    const start = cpuTime()
    const isLate = isAfter(WALK_MS)
    const slices = this.#note(mount, '/') ? ['/'] : []
    const units: string[] = []
    // Both grow while they are walked through.
    for (const path of slices)
      for (const child of this.#childrenOf(mount, path, isLate))
        (child.endsWith('.slice') ? slices : units).push(child)
    units.push(...units.splice(0, this.#walks++ % (units.length + 1)))
    for (const path of units) for (const child of this.#childrenOf(mount, path, isLate)) units.push(child)
    return cpuTime() - start
  }

  /** Notes the cgroups directly below one. @returns those that have others below them, as long as there is time */
  *#childrenOf(mount: string, path: string, isLate: () => boolean): Generator<string> {
    if (isLate()) return
    for (const child of foldersIn(mount, path)) {
      if (this.#note(mount, child)) yield child
      if (isLate()) return
    }
  }

  /** @returns whether there are others below it */
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

/** proc_pid_mountinfo(5): ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS. */
function cgroup2Mount(mounts: string): string | undefined {
  const line = mounts.split('\n').find((each) => / - cgroup2 /.test(each))
  return line?.split(' ')[4]?.replaceAll('\\040', ' ')
}

/** The paths of the cgroups directly below one. */
function* foldersIn(mount: string, path: string): Generator<string> {
  const parent = path === '/' ? '' : path
  for (const entry of entriesOf(mount + path)) if (entry.isDirectory()) yield `${parent}/${entry.name}`
}
