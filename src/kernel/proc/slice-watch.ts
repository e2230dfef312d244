import { type FSWatcher, watch } from 'node:fs'

/** Slices that are watched at most: each user who is logged in has one. */
const MAX_SLICES = 512

/**
 * Tells of each cgroup that is made or removed directly in a slice, as soon as it is (inotify(7)): a unit is known before
 * its program runs, and stays known when it lives for a moment only. What is below units is not watched: their users
 * may make any number of cgroups there.
 */
export class SliceWatch {
  readonly #mount: string
  readonly #onChange: (path: string) => void
  readonly #slices = new Map<string, FSWatcher>()

  /** @param mount the mount point of the hierarchy @param onChange takes the path of the cgroup below it */
  constructor(mount: string, onChange: (path: string) => void) {
    this.#mount = mount
    this.#onChange = onChange
  }

  /** Watches a slice, unless it is watched. One that cannot be watched is found by walks only. @param slice `/` or a path */
  add(slice: string): void {
    if (this.#slices.has(slice) || this.#slices.size >= MAX_SLICES) return
    const parent = slice === '/' ? '' : slice
    try {
      const watcher = watch(this.#mount + slice, { persistent: false }, (_, name) => {
        if (name !== null) this.#onChange(`${parent}/${name}`)
      })
      watcher.on('error', () => this.remove(slice))
      this.#slices.set(slice, watcher)
    } catch {
      // The slice is gone, or the host has no inotify watches left.
    }
  }

  /** Watches a slice no longer: it is gone. */
  remove(slice: string): void {
    this.#slices.get(slice)?.close()
    this.#slices.delete(slice)
  }

  close(): void {
    for (const watcher of this.#slices.values()) watcher.close()
    this.#slices.clear()
  }
}
