/** Finds processes in /proc. A process that may not be read, or has ended meanwhile, is left out. */
import { accessSync, constants, readlinkSync } from 'node:fs'
import { textOfBytes } from '../../text/bytes-text.js'
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
 * The result of a search for the process that has a socket open: the process, or why there is none.
 * - `late`: the time was over
 * - `denied`: the descriptors of some processes may not be read, and none of the others has it
 * - `none`: no process has it
 */
export type HolderSearch = Process | 'late' | 'denied' | 'none'

/**
 * Searches these processes for the first one that has one of these sockets open.
 * @param inodes of the sockets @param isLate is called again and again; once it returns true, the search ends
 */
export function searchHolder(
  inodes: ReadonlySet<number>,
  pids: Iterable<number>,
  isLate: () => boolean,
): HolderSearch {
  const links = new Set([...inodes].map((inode) => `socket:[${inode}]`))
  let isDenied = false
  for (const pid of pids) {
    const held = holds(pid, links, isLate)
    if (held === true) return { pid, executable: linkOf(`/proc/${pid}/exe`) }
    isDenied ||= held === 'denied'
    if (isLate()) return 'late'
  }
  return isDenied ? 'denied' : 'none'
}

/** As searchHolder, without the reason. */
export function holderOf(...search: Parameters<typeof searchHolder>): Process | undefined {
  const found = searchHolder(...search)
  return typeof found === 'string' ? undefined : found
}

/**
 * Names the programs of a user's processes, which every user may read, the first ones of them.
 * @param isLate is called again and again; once it returns true, the names so far are returned
 */
export function programNames(
  pids: Iterable<number>,
  uid: number,
  atMost: number,
  isLate: () => boolean,
): string[] {
  const names = new Set<string>()
  for (const pid of pids) {
    if (names.size >= atMost || isLate()) break
    if (ownerOf(pid) !== uid) continue
    const [name] = linesOf(`/proc/${pid}/comm`)
    if (name !== undefined) names.add(name)
  }
  return [...names]
}

/** The path of a process's cgroup in the unified hierarchy. */
export function cgroupOf(pid: number): string | undefined {
  return linesOf(`/proc/${pid}/cgroup`)
    .find((line) => line.startsWith('0::'))
    ?.slice(3)
}

/** Whether a process has one of these descriptors; `denied` when they may not be read. */
function holds(pid: number, links: ReadonlySet<string>, isLate: () => boolean): boolean | 'denied' {
  const folder = `/proc/${pid}/fd`
  let isEmpty = true
  for (const { name } of entriesOf(folder)) {
    isEmpty = false
    try {
      if (links.has(readlinkSync(`${folder}/${name}`))) return true
    } catch (error) {
      if (isDenial(error)) return 'denied'
    }
    if (isLate()) return false
  }
  return isEmpty && !mayRead(folder) ? 'denied' : false
}

/** Whether a folder may be read, or is gone. */
function mayRead(folder: string): boolean {
  try {
    accessSync(folder, constants.R_OK)
    return true
  } catch (error) {
    return !isDenial(error)
  }
}

const isDenial = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EACCES'

const newestFirst = (texts: readonly string[]): number[] =>
  texts
    .map(Number)
    .filter((pid) => pid > 0)
    .sort((a, b) => b - a)

const ownerOf = (pid: number): number | undefined => statusOf(`/proc/${pid}`)?.uid

function linkOf(path: string): string | undefined {
  try {
    return textOfBytes(readlinkSync(path, 'buffer'))
  } catch {
    return undefined
  }
}
