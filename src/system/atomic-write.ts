import { existsSync, mkdirSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file so that it is there whole or as it was before, whatever happens meanwhile. Its folder is made where it is missing.
 * @throws Error of node:fs (rejects)
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const folder = dirname(path)
  makeFolder(folder)
  const fresh = `${path}.new`
  // One that was left behind may have another mode.
  await rm(fresh, { force: true })
  await synced(fresh, 'wx', (file) => file.writeFile(text))
  await rename(fresh, path)
  // The name of the file is a matter of its folder.
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
 * Makes a folder and those above it where they are missing. Not by mkdir's own `recursive`, which never returns
 * where a file system refuses new folders with ENOENT, as /proc does. @throws Error of node:fs
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  mkdirSync(path)
}
