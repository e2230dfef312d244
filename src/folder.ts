import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it where they are missing. Not by mkdir's own `recursive`, which never returns
 * where a file system refuses new folders with ENOENT, as /proc does. @throws Error of node:fs
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  mkdirSync(path)
}
