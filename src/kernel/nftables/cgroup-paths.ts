import { existsSync } from 'node:fs'
import { Cgroups } from '../proc/cgroups.js'

/** The folder below which nft looks for the cgroups in its commands (nft's own code, `cgroupv2_get_path`). */
const FOLDER = '/sys/fs/cgroup/'

/**
 * Returns the path of a cgroup as nft takes it; undefined when the cgroup is gone, or nft would not find it.
 * @param cgroup the path below the root of the hierarchy @param mount where that is mounted
 */
export function nftPathOf(cgroup: string, mount = new Cgroups().mount): string | undefined {
  const path = `${mount}${cgroup}`
  return path.startsWith(FOLDER) && existsSync(path) ? path.slice(FOLDER.length) : undefined
}
