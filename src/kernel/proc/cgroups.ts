import { readFileSync } from 'node:fs'
import { type CgroupOwner, ownerOf } from '../../core/packet/cgroup-path.js'
import { cpuTime, isAfter } from '../../system/cpu-time.js'
import { entriesOf, statusOf } from './bounded-reads.js'
import { SliceWatch } from './slice-watch.js'

/** A cgroup of the unified hierarchy (v2). */
export interface Cgroup {
  /** The path below the root of the hierarchy: `/system.slice/nginx.service`. */
  readonly path: string
  readonly place: CgroupOwner
}

/**
 * The longest part of a walk through the tree, in CPU time: a user who may make cgroups may make very many. On a slow
 * host it is twice the time of the first walk, up to the second number.
 */
const WALK_MS = { least: 10, most: 100 } as const
/** Walks take no larger part of the time. */
const WALK_SHARE = 0.02
/** The longest first walk, in CPU time: milliseconds. */
const FIRST_WALK_MS = 2000
/** Cgroups below units that one walk looks at, and those below one unit before it is the next unit's turn. */
const BELOW = { walk: 2048, turn: 64 } as const
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
  /** CPU time of all walks: milliseconds. */
  walked = 0
  readonly #known = new Map<number, Cgroup>()
  #length = 0
  /** The walk that goes on; undefined before the first one. */
  #walk: Generator<undefined, never> | undefined
  /** Walks that came to their end. */
  #walks = 0
  /** Milliseconds of CPU time. */
  #longest: number = WALK_MS.least
  #notBefore = 0
  /** Undefined before the warm-up: who asks once needs no watch. */
  #watch: SliceWatch | undefined

  constructor(mounts = readFileSync('/proc/self/mountinfo', 'utf8')) {
    this.mount = cgroup2Mount(mounts)
  }

  /**
   * Finds all cgroups that are there, before there is any hurry, and learns how long that takes on this host. From then
   * on new units are known as soon as they are made.
   */
  warmUp(): void {
    if (this.mount !== undefined) this.#watch ??= this.#watchSlices(this.mount)
    const took = this.#goOn(() => this.#walks === 1, FIRST_WALK_MS)
    this.#longest = Math.min(Math.max(2 * took, WALK_MS.least), WALK_MS.most)
  }

  /**
   * Finds a cgroup. @param now milliseconds of a monotonic clock @returns undefined when it is not there, or
   * not found in time; then a later call goes on from there
   */
  find(number: number, now: number): Cgroup | undefined {
    const known = this.#known.get(number)
    if (known !== undefined || this.mount === undefined || now < this.#notBefore) return known
    if (this.#length > LENGTH_AT_MOST) this.#forget()
    // The cgroup may be newer than what the present walk has passed: the next one ends the search.
    const end = this.#walks + 2
    const took = this.#goOn(() => this.#known.has(number) || this.#walks === end, this.#longest)
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

  /** Ends the walk, which holds directories open, and the watch. */
  close(): void {
    this.#watch?.close()
    this.#walk?.return(undefined as never)
    this.#walk = undefined
  }

  #watchSlices(mount: string): SliceWatch {
    return new SliceWatch(mount, (path) => this.#onChange(mount, path))
  }

  /** Notes a cgroup that was made in a slice. A new slice may have cgroups already. */
  #onChange(mount: string, path: string): void {
    if (this.#length > LENGTH_AT_MOST) this.#forget()
    this.#note(mount, path)
    if (!path.endsWith('.slice')) return
    this.#watch?.remove(path)
    this.#watch?.add(path)
    for (const child of foldersIn(mount, path)) this.#onChange(mount, child)
  }

  /** Goes on with the walk. @param ms CPU time at most @returns CPU time that it took: milliseconds */
  #goOn(isDone: () => boolean, ms: number): number {
    const { mount } = this
    if (mount === undefined) return 0
    const start = cpuTime()
    const isLate = isAfter(ms)
    this.#walk ??= this.#walkOn(mount)
    while (!isDone() && !isLate()) this.#walk.next()
    const took = cpuTime() - start
    this.walked += took
    return took
  }

  /**
   * Walks through the tree again and again; each step looks at one cgroup. Slices and their units come first. Below a
   * unit, a service or a user with a delegated subtree may make any number of cgroups: a walk looks at some of
   * them, and units take turns.
   */
  *#walkOn(mount: string): Generator<undefined, never> {
    const below = new Map<string, Generator<string>>()
    try {
      for (;;) {
        const units: string[] = []
        yield* this.#slices(mount, units)
        for (const unit of units) if (!below.has(unit)) below.set(unit, this.#below(mount, unit))
        for (let left = BELOW.walk; left > 0 && below.size > 0; left -= BELOW.turn) {
          const [unit, steps] = below.entries().next().value!
          below.delete(unit)
          if (yield* some(steps, BELOW.turn)) below.set(unit, steps)
        }
        this.#walks++
        yield
      }
    } finally {
      for (const steps of below.values()) steps.return(undefined)
    }
  }

  /** Looks at all slices and what is directly in them. @param units takes those that have cgroups below them */
  *#slices(mount: string, units: string[]): Generator<undefined, void> {
    const slices = this.#note(mount, '/') ? ['/'] : []
    // The list grows while the loop runs.
    for (const path of slices) {
      this.#watch?.add(path)
      for (const child of foldersIn(mount, path)) {
        const hasMore = this.#note(mount, child)
        if (child.endsWith('.slice')) slices.push(child)
        else if (hasMore) units.push(child)
        yield
      }
    }
  }

  /** Looks at all cgroups below a unit. Yields their paths. */
  *#below(mount: string, unit: string): Generator<string> {
    const parents = [unit]
    for (const path of parents)
      for (const child of foldersIn(mount, path)) {
        if (this.#note(mount, child)) parents.push(child)
        yield child
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

/** Takes some steps of another generator. @returns whether it has more */
function* some(steps: Generator<string>, number: number): Generator<undefined, boolean> {
  for (let i = 0; i < number; i++) {
    if (steps.next().done) return false
    yield
  }
  return true
}
