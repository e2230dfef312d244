import { UserTimeBudget } from '../core/bounded/user-time-budget.js'
import { type CgroupOwner, isIn, unitPathOf } from '../core/packet/cgroup-path.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../core/packet/ip.js'
import { type Packet, pingIdentifier } from '../core/packet/packet.js'
import type {
  AttributionOutcome as Outcome,
  ProcessOutcome,
  Sender,
  SenderDetails,
  SenderLookup,
} from '../core/packet/sender.js'
import { type Cgroup, Cgroups } from '../kernel/proc/cgroups.js'
import {
  cgroupOf,
  holderOf,
  type Process,
  processesOf,
  processesOfUser,
  programNames,
  searchHolder,
} from '../kernel/proc/processes.js'
import { otherSockets } from '../kernel/sockets/ping-and-raw-sockets.js'
import type { SocketOwner } from '../kernel/sockets/socket-owner-wire.js'
import { SocketOwners } from '../kernel/sockets/socket-owners.js'
import { cpuTime, isAfter } from '../system/cpu-time.js'
import { withOwnConnection } from './own-connection.js'

/**
 * Milliseconds per second for blocks: a flood must not take the time of verdicts, nor one user's flood
 * that of other users. Look-ups by both ends of a packet, searches, and processes have each a budget of
 * their own: the unit of a TCP connection takes microseconds, and must not be missing because a process
 * took milliseconds.
 */
const BLOCKS_MS = { direct: 10, search: 6, process: 12 } as const
/**
 * Milliseconds per second for rules with units, whose verdict depends on attribution. A direct look-up does
 * not count.
 */
const RULES_MS = 100
/**
 * Milliseconds for one packet, to find the process in the cgroup of its socket; and those for the first
 * block of a user, which is the one that tells most.
 */
const PROCESS_MS = { each: 2, first: 20 }
/** Users whose first block is remembered; when there are more, all are forgotten. */
const MAX_USERS = 1024
/** Names of programs for a block whose process may not be found. */
const CANDIDATES = 3
/** Milliseconds for one packet, to find its unit by the process: for sockets that are neither TCP nor UDP. */
const UNIT_BY_PROCESS_MS = 10
/**
 * Pairs of unit and container that have a number. When there are more, all are forgotten and get new numbers.
 */
const MAX_PLACES = 4096
/** Limits of the warm-up: CPU time in milliseconds, and rounds. */
const WARM_UP_MS = 1000
const WARM_UP_ROUNDS = 100
/**
 * Milliseconds of CPU time in which an ordinary host finds a process once the code is warm. One that needs more has
 * limits that are larger by as much, up to a factor.
 */
const ORDINARY_MS = 0.5
const MAX_SLOWNESS = 20
const LOOPBACK = Uint32Array.of(0x7f000001, 0, 0, 0)
/** Special numbers of `place`, and the first ordinary one. */
const UNKNOWN_PLACE = 0
const SKIPPED_PLACE = 1
const FIRST_PLACE = 2

/** The result of a look-up of a packet's sender. */
interface LookupResult {
  readonly outcome: Outcome
  readonly cgroup?: Cgroup | undefined
  /** The inode of the socket; undefined when several sockets may have sent the packet. */
  readonly inode?: number | undefined
  readonly process?: Process | undefined
}

type ProcessDetails = Pick<SenderDetails, 'pid' | 'executable' | 'candidates'> & { process: ProcessOutcome }

const LATE: ProcessDetails = { process: 'skipped' }
const SKIPPED: LookupResult = { outcome: 'skipped' }
const UNKNOWN: LookupResult = { outcome: 'unknown' }

/**
 * Finds the sender of the packet that is being judged. The kernel knows its socket and the cgroup in which
 * the socket was made, which gives the systemd unit; the process is the one that has the socket open. This
 * happens before the verdict, since the program may end a moment later, and only for blocked packets and for
 * rules with units.
 */
export class Attributor implements SenderLookup {
  /** Blocked packets by the outcome of their attribution. */
  readonly stats: Record<Outcome, number> = { found: 0, skipped: 0, unknown: 0 }
  readonly #packet: Packet
  readonly #sender: Pick<Sender, 'uid' | 'device'>
  readonly #owners = new SocketOwners()
  readonly #cgroups = new Cgroups()
  readonly #direct = new UserTimeBudget(BLOCKS_MS.direct, performance.now())
  readonly #searches = new UserTimeBudget(BLOCKS_MS.search, performance.now())
  readonly #processes = new UserTimeBudget(BLOCKS_MS.process, performance.now())
  readonly #rules = new UserTimeBudget(RULES_MS, performance.now())
  readonly #places = new Map<string, number>()
  #nextPlace = FIRST_PLACE
  /** Users of whom a block was described. */
  readonly #described = new Set<number>()
  /** The result for the current packet; undefined before the first look-up. */
  #result: LookupResult | undefined

  readonly #processMs: typeof PROCESS_MS
  /** How much slower than an ordinary host this one is. */
  #slowness = 1

  /**
   * @param packet the packet that is being judged; it is written over by the next one, and so is `sender`
   * @param processMs limits of the search for a process
   */
  constructor(packet: Packet, sender: Pick<Sender, 'uid' | 'device'>, processMs = PROCESS_MS) {
    this.#processMs = processMs
    this.#packet = packet
    this.#sender = sender
  }

  /** Why no unit can be found on this host, for the operator; undefined when units can be found. */
  get trouble(): string | undefined {
    return this.#cgroups.mount === undefined
      ? 'no cgroup2 hierarchy is mounted here, so no systemd unit is known: rules with `units` allow nothing'
      : undefined
  }

  /**
   * Finds the sender of a connection of this process, again and again: what runs for the first time takes
   * more than the time for one packet, and the first block after a start is not to lack its process. So it
   * learns how slow this host is.
   * @returns how often this process was found
   */
  async warmUp(): Promise<number> {
    let found = 0
    let fastest = Number.POSITIVE_INFINITY
    this.#cgroups.warmUp()
    await withOwnConnection(({ localPort, port }) => {
      const isOver = isAfter(WARM_UP_MS)
      for (let round = 0; round < WARM_UP_ROUNDS && !isOver(); round++) {
        const start = cpuTime()
        const owner = this.#owners.tcp(4, LOOPBACK, localPort, LOOPBACK, port, 0)
        const cgroup = owner && this.#cgroups.find(owner.cgroup ?? -1, performance.now())
        const folder = cgroup && this.#cgroups.folderOf(cgroup)
        if (folder === undefined) continue
        const { process } = this.#searchProcess(folder, owner!.inode, isAfter(WARM_UP_MS))
        if (process !== 'found') continue
        found++
        fastest = Math.min(fastest, cpuTime() - start)
      }
    })
    if (found > 0) this.#slowness = Math.min(Math.max(fastest / ORDINARY_MS, 1), MAX_SLOWNESS)
    return found
  }

  /** Begins the next packet. */
  begin(): void {
    this.#result = undefined
  }

  /** Whether the sender is in one of these units or slices: for rules. False when the unit is not found. */
  isOf(units: readonly string[]): boolean {
    this.#result ??=
      this.#findDirectly(performance.now()) ??
      this.#within(this.#rules, (now) => this.#search(now)) ??
      SKIPPED
    const { cgroup } = this.#result
    return cgroup !== undefined && isIn(cgroup.place, units)
  }

  /** See SenderLookup. Counts the outcome in `stats`. */
  get place(): number {
    const { outcome, cgroup } = this.#lookUp()
    this.stats[outcome]++
    if (outcome === 'skipped') return SKIPPED_PLACE
    return cgroup === undefined ? UNKNOWN_PLACE : this.#numberOf(cgroup.place)
  }

  get unit(): string | undefined {
    return this.#lookUp().cgroup?.place.unit
  }

  /** See SenderLookup. */
  get unitCgroup(): string | undefined {
    const cgroup = this.#lookUp().cgroup
    return cgroup && unitPathOf(cgroup.path, cgroup.place)
  }

  describe(): SenderDetails {
    const result = this.#lookUp()
    // There are few lines: those of a flood have their unit, too.
    const { outcome, cgroup, inode, process } =
      result.outcome === 'skipped' ? (this.#findDirectly(performance.now()) ?? result) : result
    const owner = { attribution: outcome, unit: cgroup?.place.unit, container: cgroup?.place.container }
    if (process !== undefined) return { ...owner, process: 'found', ...process }
    if (cgroup === undefined) return { ...owner, process: outcome === 'found' ? 'unknown' : outcome }
    return { ...owner, ...this.#processIn(cgroup, inode) }
  }

  close(): void {
    this.#owners.close()
    this.#cgroups.close()
  }

  /** As `isAfter`, with the patience that a slow host needs. */
  #isAfter(ms: number): () => boolean {
    return isAfter(ms * this.#slowness)
  }

  /** Looks up the sender of a blocked packet, within the time for blocks. */
  #lookUp(): LookupResult {
    this.#result ??= this.#find()
    return this.#result
  }

  #find(): LookupResult {
    // Undefined when no time is left; null when a search is needed.
    const direct = this.#within(this.#direct, (now) => this.#findDirectly(now) ?? null)
    if (direct !== null) return direct ?? SKIPPED
    return this.#within(this.#searches, (now) => this.#search(now)) ?? SKIPPED
  }

  /**
   * Calls `lookUp`, and takes its CPU time from the user's budget. Walks through the tree of cgroups have a limit of
   * their own: one of them must not take the time of many look-ups.
   * @param always whether to do so also when no time is left @returns undefined when no time is left
   */
  #within<T>(budget: UserTimeBudget, lookUp: (now: number) => T, always = false): T | undefined {
    const { uid } = this.#sender
    const now = performance.now()
    if (!always && !budget.has(uid, now)) return undefined
    const start = cpuTime() - this.#cgroups.walked
    try {
      return lookUp(now)
    } finally {
      budget.spend(uid, cpuTime() - this.#cgroups.walked - start, now)
    }
  }

  /**
   * Finds the socket by both ends of the packet, in a few microseconds.
   * @returns undefined when a search is needed
   */
  #findDirectly(now: number): LookupResult | undefined {
    const { protocol, family, source, sourcePort, destination, destinationPort } = this.#packet
    const { uid, device } = this.#sender
    // A packet without a user has no socket: it is closed already, or the kernel itself sent the packet.
    if (uid === -1) return UNKNOWN
    const ends = [family, source, sourcePort, destination, destinationPort, device] as const
    if (protocol === IPPROTO_TCP) return this.#commonOf([this.#owners.tcp(...ends)], now)
    const receiver = protocol === IPPROTO_UDP ? this.#owners.udpReceiver(...ends) : undefined
    return receiver?.uid === uid ? this.#commonOf([receiver], now) : undefined
  }

  /**
   * Searches all sockets that may have sent the packet. The time grows with sockets, descriptors and
   * processes.
   */
  #search(now: number): LookupResult {
    const { protocol, family, sourcePort } = this.#packet
    return protocol === IPPROTO_UDP
      ? this.#commonOf(this.#owners.udp(family, sourcePort) ?? [], now)
      : this.#searchProcesses()
  }

  /**
   * Returns what all sockets have in common that may have sent the packet: the unit, and for a single socket
   * its inode.
   */
  #commonOf(owners: readonly (SocketOwner | undefined)[], now: number): LookupResult {
    const possible = owners.filter((owner) => owner?.uid === this.#sender.uid) as SocketOwner[]
    const cgroups = [...new Set(possible.map((owner) => owner.cgroup))].map((number) =>
      number === undefined ? undefined : this.#cgroups.find(number, now),
    )
    const [cgroup] = cgroups
    if (cgroup === undefined || !cgroups.every((each) => isSame(each, cgroup))) return UNKNOWN
    return { outcome: 'found', cgroup, inode: possible.length === 1 ? possible[0]!.inode : undefined }
  }

  /**
   * Finds the unit of a raw or ping socket by the process that has it open: not every kernel lists them in
   * sock_diag.
   */
  #searchProcesses(): LookupResult {
    const { family, protocol } = this.#packet
    const { uid } = this.#sender
    const isLate = this.#isAfter(UNIT_BY_PROCESS_MS)
    const inodes = otherSockets(family, protocol, pingIdentifier(this.#packet), uid, isLate)
    if (inodes.size !== 1) return UNKNOWN
    const process = holderOf(inodes, processesOfUser(uid, isLate), isLate)
    const path = process && cgroupOf(process.pid)
    return path === undefined ? UNKNOWN : { outcome: 'found', cgroup: this.#cgroups.at(path), process }
  }

  /** Searches the process that has the socket open, among those of its cgroup, if there is time. */
  #processIn(cgroup: Cgroup, inode: number | undefined): ProcessDetails {
    const folder = this.#cgroups.folderOf(cgroup)
    if (!inode || folder === undefined) return { process: 'unknown' }
    const { uid } = this.#sender
    const isFirst = this.#isFirst(uid)
    const search = () =>
      this.#searchProcess(folder, inode, this.#isAfter(this.#processMs[isFirst ? 'first' : 'each']))
    return this.#within(this.#processes, search, isFirst) ?? { process: 'skipped' }
  }

  #searchProcess(folder: string, inode: number, isLate: () => boolean): ProcessDetails {
    const pids = processesOf(folder, isLate)
    const found = searchHolder(new Set([inode]), pids, isLate)
    if (typeof found === 'object') return { process: 'found', ...found }
    // Without time, not all processes were looked at, or none was listed.
    if (found === 'late' || isLate()) return LATE
    if (found === 'none') return { process: 'unknown' }
    const candidates = programNames(pids, this.#sender.uid, CANDIDATES, isLate)
    return { process: 'not-permitted', candidates }
  }

  /** Whether no block of this user was described before. */
  #isFirst(uid: number): boolean {
    if (this.#described.has(uid)) return false
    if (this.#described.size >= MAX_USERS) this.#described.clear()
    this.#described.add(uid)
    return true
  }

  /** Returns the number of a pair of unit and container: see SenderLookup. */
  #numberOf({ unit, container }: CgroupOwner): number {
    const key = `${unit}\0${container}`
    const known = this.#places.get(key)
    if (known !== undefined) return known
    if (this.#places.size >= MAX_PLACES) this.#places.clear()
    this.#places.set(key, this.#nextPlace)
    return this.#nextPlace++
  }
}

/** Whether two cgroups belong to the same unit and container. */
const isSame = (a: Cgroup | undefined, b: Cgroup) =>
  a !== undefined && a.place.unit === b.place.unit && a.place.container === b.place.container
