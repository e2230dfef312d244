/**
 * Computes whether a user may write to a folder, by its owner, group and mode: access(2) answers for the own
 * process only.
 */
import type { Stats } from 'node:fs'

export interface Who {
  readonly uid: number
  readonly gids: readonly number[]
}

const WRITE = 0o2
const WRITE_AND_SEARCH = 0o3

type Owned = Pick<Stats, 'uid' | 'gid' | 'mode'>

/** Whether a user may create files in a folder. Access lists (acl(5)) are ignored. */
export const mayWrite = (folder: Owned, who: Who): boolean => has(folder, who, WRITE_AND_SEARCH)

/** Whether a user may write to a file. Access lists are ignored. */
export const mayWriteFile = (file: Owned, who: Who): boolean => has(file, who, WRITE)

/** Whether users other than root and `who` may replace files in a folder. Access lists are ignored. */
export const mayOthersWrite = ({ uid, gid, mode }: Owned, who: Who): boolean =>
  (mode & 0o002) !== 0 ||
  ((mode & 0o020) !== 0 && gid !== 0 && gid !== who.gids[0]) ||
  (uid !== 0 && uid !== who.uid)

function has({ uid, gid, mode }: Owned, who: Who, bits: number): boolean {
  if (who.uid === 0) return true
  const shift = who.uid === uid ? 6 : who.gids.includes(gid) ? 3 : 0
  return ((mode >> shift) & bits) === bits
}

/**
 * Finds a user by name or number in passwd(5), with its groups from group(5). Returns undefined for an
 * unknown user.
 */
export function whoIs(user: string, passwd: string, group: string): Who | undefined {
  const lines = (text: string) => text.split('\n').map((line) => line.split(':'))
  const found = lines(passwd).find(([name, , uid]) => name === user || uid === user)
  if (found === undefined) return undefined
  const [name = '', , uid, gid] = found
  const more = lines(group).filter(([, , , members]) => members?.split(',').includes(name))
  return { uid: Number(uid), gids: [Number(gid), ...more.map(([, , id]) => Number(id))] }
}
