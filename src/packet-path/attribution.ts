import { UserTimeBudget } from '../core/bounded/user-time-budget.js'
import { type CgroupOwner, isIn } from '../core/packet/cgroup-path.js'
import { IPPROTO_TCP, IPPROTO_UDP } from '../core/packet/ip.js'
import { type Packet, pingIdentifier } from '../core/packet/packet.js'
import type {
  AttributionOutcome as Outcome,
  Sender,
  SenderDetails,
  SenderLookup,
} from '../core/packet/sender.js'
import { type Cgroup, Cgroups } from '../kernel/proc/cgroups.js'
import { cgroupOf, holderOf, type Process, processesOf, processesOfUser } from '../kernel/proc/processes.js'
import { otherSockets } from '../kernel/sockets/ping-and-raw-sockets.js'
import type { SocketOwner } from '../kernel/sockets/socket-owner-wire.js'
import { SocketOwners } from '../kernel/sockets/socket-owners.js'
import { cpuTime, isAfter } from '../system/cpu-time.js'

/**
 * Milliseconds per second for blocks: a flood must not take the time of verdicts, nor one user's flood that
 * of other users.
 */
const BLOCKS_MS = 20
/**
 * Milliseconds per second for rules with units, whose verdict depends on attribution. A direct look-up does
 * not count.
 */
const RULES_MS = 100
/** Milliseconds for one packet, to find the process in the cgroup of its socket. */
const PROCESS_MS = 2
/** Milliseconds for one packet, to find its unit by the process: for sockets that are neither TCP nor UDP. */
const UNIT_BY_PROCESS_MS = 10
/**
 * Pairs of unit and container that have a number. When there are more, all are forgotten and get new numbers.
 */
const MAX_PLACES = 4096
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
  readonly #blocks = new UserTimeBudget(BLOCKS_MS, performance.now())
  readonly #rules = new UserTimeBudget(RULES_MS, performance.now())
  readonly #places = new Map<string, number>()
  #nextPlace = FIRST_PLACE
  /** The result for the current packet; undefined before the first look-up. */
  #result: LookupResult | undefined

  /** @param packet the packet that is being judged; it is written over by the next one, and so is `sender` */
  constructor(packet: Packet, sender: Pick<Sender, 'uid' | 'device'>) {
    this.#packet = packet
    this.#sender = sender
  }

  /** Why no unit can be found on this host, for the operator; undefined when units can be found. */
  get trouble(): string | undefined {
    return this.#cgroups.mount === undefined
      ? 'no cgroup2 hierarchy is mounted here, so no systemd unit is known: rules with `units` allow nothing'
      : undefined
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

  describe(): SenderDetails {
    const { outcome, cgroup, process } = this.#withProcess(this.#lookUp())
    return {
      attribution: outcome,
      unit: cgroup?.place.unit,
      container: cgroup?.place.container,
      pid: process?.pid,
      executable: process?.executable,
    }
  }

  close(): void {
    this.#owners.close()
  }

  /** Looks up the sender of a blocked packet, within the time for blocks. */
  #lookUp(): LookupResult {
    this.#result ??=
      this.#within(this.#blocks, (now) => this.#findDirectly(now) ?? this.#search(now)) ?? SKIPPED
    return this.#result
  }

  /**
   * Calls `lookUp`, and takes its CPU time from the user's budget.
   * @returns undefined when no time is left
   */
  #within<T>(budget: UserTimeBudget, lookUp: (now: number) => T): T | undefined {
    const { uid } = this.#sender
    const now = performance.now()
    if (!budget.has(uid, now)) return undefined
    const start = cpuTime()
    try {
      return lookUp(now)
    } finally {
      budget.spend(uid, cpuTime() - start, now)
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
    const isLate = isAfter(UNIT_BY_PROCESS_MS)
    const inodes = otherSockets(family, protocol, pingIdentifier(this.#packet), uid, isLate)
    if (inodes.size !== 1) return UNKNOWN
    const process = holderOf(inodes, processesOfUser(uid, isLate), isLate)
    const path = process && cgroupOf(process.pid)
    return path === undefined ? UNKNOWN : { outcome: 'found', cgroup: this.#cgroups.at(path), process }
  }

  /** Adds the process that has the socket open, if there is time to find it. */
  #withProcess(result: LookupResult): LookupResult {
    const { cgroup, inode, process } = result
    const folder = cgroup && this.#cgroups.folderOf(cgroup)
    if (process !== undefined || !inode || folder === undefined) return result
    const holder = this.#within(this.#blocks, () => {
      const isLate = isAfter(PROCESS_MS)
      return holderOf(new Set([inode]), processesOf(folder, isLate), isLate)
    })
    return { ...result, process: holder }
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
