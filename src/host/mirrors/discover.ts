import { createHash } from 'node:crypto'
import { discoverApk } from './apk.js'
import { discoverApt } from './apt.js'
import { discoverDnf } from './dnf.js'
import { Files } from './file-reader.js'
import type { Discovery } from './mirror.js'
import { MirrorCollector } from './mirror-collector.js'
import { discoverPacman } from './pacman.js'
import { discoverRhsm } from './rhsm.js'
import { discoverSnap, noteLogins } from './snap.js'
import { discoverZypper } from './zypper.js'

const MANAGERS = [
  discoverApt,
  discoverDnf,
  discoverRhsm,
  discoverZypper,
  discoverApk,
  discoverPacman,
  discoverSnap,
  noteLogins,
]

const LARGE =
  'this file is larger than 1 MiB, and only its beginning was read: name further hosts in mirrors.hosts'

/**
 * Finds the hosts from which this host's package managers get their updates, in their own files below `root`.
 * Never throws: a file that is missing, unreadable or makes no sense counts as empty.
 */
export function discover(root: string): Discovery {
  const found = new MirrorCollector()
  const files = new Files(root, { onLarge: (origin) => found.note(origin, LARGE) })
  for (const discoverManager of MANAGERS) discoverManager(files, found)
  return found.discovery()
}

/** The last fingerprint, with a check whether it still holds. */
let last: { readonly root: string; readonly text: string; readonly holds: () => boolean } | undefined

/**
 * Returns a text that changes when any file or folder that `discover` reads is changed, made or removed. It
 * is cheap: while nothing has changed, it calls stat(2) only; then it reads the files that name other files.
 */
export function fingerprint(root: string): string {
  if (last?.root === root && last.holds()) return last.text
  const files = new Files(root, { statOnly: true })
  const found = new MirrorCollector()
  for (const discoverManager of MANAGERS) discoverManager(files, found)
  const text = createHash('sha256').update(files.statuses().join('\n')).digest('hex')
  last = { root, text, holds: files.unchanged() }
  return text
}
