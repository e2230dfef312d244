/** Finds processes in /proc. A process that may not be read, or has ended meanwhile, is left out. */
import { readlinkSync } from 'node:fs'
import { entriesOf, linesOf, statusOf } from './bounded-reads.js'

export interface Process {
  readonly pid: number
  /** The path of its program; undefined when it may not be read (CAP_SYS_PTRACE), or for a kernel thread. */
  readonly executable: string | undefined
}

/**
 * Lists the processes of a cgroup, the newest first: the sender of a packet has often just been started.
 * @param folder of the cgroup @param isLate is called again and again; once it returns true, there are none
 */
export const processesOf = (folder: string, isLate: () => boolean): number[] =>
  newestFirst(linesOf(`${folder}/cgroup.procs`, isLate))

/** Finds the processes of a user, one by one. @param isLate as for `processesOf` */
export function* processesOfUser(uid: number, isLate: () => boolean): Generator<number> {
  for (const pid of processes(isLate)) if (ownerOf(pid) === uid) yield pid
}

/** Lists all processes that this one can see, the newest first. @param isLate as for `processesOf` */
export function processes(isLate = () => false): number[] {
  const names: string[] = []
  for (const { name } of entriesOf('/proc')) {
    names.push(name)
    if (isLate()) return []
  }
  return newestFirst(names)
}

/**
 * Finds the first of these processes that has one of these sockets open.
 * @param inodes of the sockets @param isLate is called again and again; once it returns true, none is found
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

/** The path of a process's cgroup in the unified hierarchy. */
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
