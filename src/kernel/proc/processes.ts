/** Processes, by what /proc says of them. What may not be read, or is gone meanwhile, is not there. */
import { readlinkSync } from 'node:fs'
import { entriesOf, linesOf, statusOf } from './bounded-reads.js'

export interface Process {
  readonly pid: number
  /** The path of its program; undefined where it may not be read (CAP_SYS_PTRACE), or is none (a kernel thread). */
  readonly executable: string | undefined
}

/**
 * Those of a cgroup, the newest first: who has just been started is who has just done something.
 * @param folder of the cgroup @param isLate is asked again and again: then there are none
 */
export const processesOf = (folder: string, isLate: () => boolean): number[] =>
  newestFirst(linesOf(`${folder}/cgroup.procs`, isLate))

/** Those of a user, found as they are asked for. @param isLate as for `processesOf` */
export function* processesOfUser(uid: number, isLate: () => boolean): Generator<number> {
  for (const pid of processes(isLate)) if (ownerOf(pid) === uid) yield pid
}

/** All that this process can see, the newest first. @param isLate as for `processesOf` */
export function processes(isLate = () => false): number[] {
  const names: string[] = []
  for (const { name } of entriesOf('/proc')) {
    names.push(name)
    if (isLate()) return []
  }
  return newestFirst(names)
}

/**
 * The first of these processes that has one of these sockets open.
 * @param inodes of the sockets @param isLate is asked again and again: then nothing is found
 */
export function holderOf(
  inodes: ReadonlySet<number>,
  pids: Iterable<number>,
  isLate: () => boolean,
): Process | undefined {
  const links = new Set([...inodes].map((inode) => `socket:[${inode}]`))
  for (const pid of pids) {
    if (holds(pid, links, isLate)) return { pid, executable: linkOf(`/proc/${pid}/exe`) }
    if (isLate()) return undefined
  }
  return undefined
}

/** The path of its cgroup in the unified hierarchy. */
export function cgroupOf(pid: number): string | undefined {
  return linesOf(`/proc/${pid}/cgroup`)
    .find((line) => line.startsWith('0::'))
    ?.slice(3)
}

function holds(pid: number, links: ReadonlySet<string>, isLate: () => boolean): boolean {
  const folder = `/proc/${pid}/fd`
  for (const { name } of entriesOf(folder)) {
    if (links.has(linkOf(`${folder}/${name}`) ?? '')) return true
    if (isLate()) return false
  }
  return false
}

const newestFirst = (texts: readonly string[]): number[] =>
  texts
    .map(Number)
    .filter((pid) => pid > 0)
    .sort((a, b) => b - a)

const ownerOf = (pid: number): number | undefined => statusOf(`/proc/${pid}`)?.uid

function linkOf(path: string): string | undefined {
  return attempt(() => readlinkSync(path))
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
