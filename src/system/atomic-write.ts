import { existsSync, mkdirSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file atomically: after a crash it holds the new text or the old, never a part. Makes the folder
 * where it is missing.
 * @throws Error of node:fs (rejects)
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const folder = dirname(path)
  makeFolder(folder)
  const fresh = `${path}.new`
  // A file that a crash has left behind may have another mode.
  await rm(fresh, { force: true })
  await synced(fresh, 'wx', (file) => file.writeFile(text))
  await rename(fresh, path)
  // The new name is on disk only when the folder is synced, too.
  await synced(folder, 'r', async () => {})
}

async function synced(
  path: string,
  flags: string,
  work: (file: Awaited<ReturnType<typeof open>>) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags, 0o640)
  try {
    await work(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Makes a folder and its parents where they are missing. mkdir's own `recursive` is not used: it never
 * returns where a file system refuses new folders with ENOENT, as /proc does.
 * @throws Error of node:fs
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  mkdirSync(path)
}
