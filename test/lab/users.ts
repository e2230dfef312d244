/** Which users this process can become. */

import { readFileSync } from 'node:fs'

/**
 * Whether programs can be started as another user: only root can, and only where more than one user exists.
 * An ordinary user's own namespace (`unshare -Ur`) knows a single one.
 */
export function canSwitchUsers(): boolean {
  return process.geteuid!() === 0 && mappedIds(readFileSync('/proc/self/uid_map', 'utf8')) > 1
}

/** How many user ids a /proc/PID/uid_map gives; its lines are "inside outside count" (user_namespaces(7)). */
export function mappedIds(uidMap: string): number {
  const lines = uidMap.split('\n').filter((line) => line.trim() !== '')
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0)
}

/** The ids of a user and of its group, from passwd(5). Throws when there is no such user. */
export function idsOf(user: string): { uid: string; gid: string } {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  const [, , uid, gid] = lines.map((line) => line.split(':')).find(([name]) => name === user) ?? []
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${user} in /etc/passwd`)
  return { uid, gid }
}
