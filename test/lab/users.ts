/** Reads which users this process can become. */

import { readFileSync } from 'node:fs'

/**
 * Returns whether programs can be started as another user: only by root, and only where more than one user
 * exists. The own namespace of an ordinary user (`unshare -Ur`) has a single one.
 */
export function canSwitchUsers(): boolean {
  return process.geteuid!() === 0 && mappedIds(readFileSync('/proc/self/uid_map', 'utf8')) > 1
}

/** Counts the user ids of a /proc/PID/uid_map. Its lines are "inside outside count" (user_namespaces(7)). */
export function mappedIds(uidMap: string): number {
  const lines = uidMap.split('\n').filter((line) => line.trim() !== '')
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0)
}

/** Returns the ids of a user and of its group, from passwd(5). @throws Error when there is no such user */
export function idsOf(user: string): { uid: string; gid: string } {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  const [, , uid, gid] = lines.map((line) => line.split(':')).find(([name]) => name === user) ?? []
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${user} in /etc/passwd`)
  return { uid, gid }
}
