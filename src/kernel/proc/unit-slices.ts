import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ownerOf } from '../../core/packet/cgroup-path.js'
import { entriesOf } from './bounded-reads.js'
import { Cgroups } from './cgroups.js'

/** systemd makes a few slices; a user with a delegated subtree may make more. */
const SLICES_AT_MOST = 1000

/**
 * Finds the slices that a unit is in. @param mount of the hierarchy of cgroups @returns none when the unit
 * does not run
 */
export function slicesOf(unit: string, mount = new Cgroups().mount): readonly string[] {
  if (mount === undefined) return []
  const slices = ['/']
  for (const slice of slices) {
    const path = join(slice, unit)
    if (existsSync(mount + path)) return ownerOf(path).slices
    for (const { name } of entriesOf(mount + slice))
      if (name.endsWith('.slice') && slices.length < SLICES_AT_MOST) slices.push(join(slice, name))
  }
  return []
}
