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

/** Milliseconds a second for blocks: a flood of them must not take the time of verdicts, nor one user's that of the others. */
const BLOCKS_MS = 20
/** And for rules with units, whose verdict depends on it; what takes a few microseconds does not count there. */
const RULES_MS = 100
/** For one packet, to find its process. */
const PACKET_MS = 2
/** The same where only the process leads to the unit. */
const OTHER_MS = 10
const PLACES_AT_MOST = 4096
/** Numbers of `place`. */
const UNKNOWN_PLACE = 0
const SKIPPED_PLACE = 1
const FIRST_PLACE = 2

/** What a look for the sender of a packet has brought. */
interface LookupResult {
  readonly outcome: Outcome
  readonly cgroup?: Cgroup | undefined
  /** Of its socket; undefined where several are possible. */
  readonly inode?: number | undefined
  readonly process?: Process | undefined
}

const SKIPPED: LookupResult = { outcome: 'skipped' }
const UNKNOWN: LookupResult = { outcome: 'unknown' }

/**
 * Finds out who sent the packet that is judged now: its socket, by the kernel; the cgroup in which that was made, and so the
 * systemd unit; the process that has it open. All of that before the verdict, for a moment later the program may be gone; and
 * only for packets that are blocked, or for which a rule asks.
 */
export class Attributor implements SenderLookup {
  /** Blocked packets by how far their sender was found out. */
  readonly stats: Record<Outcome, number> = { found: 0, skipped: 0, unknown: 0 }
  readonly #packet: Packet
  readonly #sender: Pick<Sender, 'uid' | 'device'>
  readonly #owners = new SocketOwners()
  readonly #cgroups = new Cgroups()
  readonly #blocks = new UserTimeBudget(BLOCKS_MS, performance.now())
  readonly #rules = new UserTimeBudget(RULES_MS, performance.now())
  readonly #places = new Map<string, number>()
  #nextPlace = FIRST_PLACE
  #finding: LookupResult | undefined

  /** @param packet that is judged, written over by the next one, as `sender` is */
  constructor(packet: Packet, sender: Pick<Sender, 'uid' | 'device'>) {
    this.#packet = packet
    this.#sender = sender
  }

  /** Whether units can be told at all; undefined, or why not. */
  get trouble(): string | undefined {
    return this.#cgroups.mount === undefined
      ? 'no cgroup2 hierarchy is mounted here, so no systemd unit is known: rules with `units` allow nothing'
      : undefined
  }

  /** Another packet. */
  begin(): void {
    this.#finding = undefined
  }

  /** Whether the sender is in one of these units: for rules. */
  isOf(units: readonly string[]): boolean {
    this.#finding ??=
      this.#direct(performance.now()) ?? this.#within(this.#rules, (now) => this.#search(now)) ?? SKIPPED
    const { cgroup } = this.#finding
    return cgroup !== undefined && isIn(cgroup.place, units)
  }

  get place(): number {
    const { outcome, cgroup } = this.#look()
    this.stats[outcome]++
    if (outcome === 'skipped') return SKIPPED_PLACE
    return cgroup === undefined ? UNKNOWN_PLACE : this.#numberOf(cgroup.place)
  }

  get unit(): string | undefined {
    return this.#look().cgroup?.place.unit
  }

  describe(): SenderDetails {
    const { outcome, cgroup, process } = this.#withProcess(this.#look())
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

  /** For a block: no flood of them takes more time than there is. */
  #look(): LookupResult {
    this.#finding ??= this.#within(this.#blocks, (now) => this.#direct(now) ?? this.#search(now)) ?? SKIPPED
    return this.#finding
  }

  /** Spends the time of the packet's user. @returns what `look` does; undefined where no time is left */
  #within<T>(time: UserTimeBudget, look: (now: number) => T): T | undefined {
    const { uid } = this.#sender
    const now = performance.now()
    if (!time.has(uid, now)) return undefined
    const start = cpuTime()
    try {
      return look(now)
    } finally {
      time.spend(uid, cpuTime() - start, now)
    }
  }

  /** By the two ends of the packet: a few microseconds. @returns undefined where its sender must be searched for */
  #direct(now: number): LookupResult | undefined {
    const { protocol, family, source, sourcePort, destination, destinationPort } = this.#packet
    const { uid, device } = this.#sender
    // No user, no socket: it is closed already, or the kernel itself has sent the packet.
    if (uid === -1) return UNKNOWN
    const ends = [family, source, sourcePort, destination, destinationPort, device] as const
    if (protocol === IPPROTO_TCP) return this.#among([this.#owners.tcp(...ends)], now)
    const receiver = protocol === IPPROTO_UDP ? this.#owners.udpReceiver(...ends) : undefined
    return receiver?.uid === uid ? this.#among([receiver], now) : undefined
  }

  /** Among many: the more sockets, descriptors and processes there are, the longer it takes. */
  #search(now: number): LookupResult {
    const { protocol, family, sourcePort } = this.#packet
    return protocol === IPPROTO_UDP
      ? this.#among(this.#owners.udp(family, sourcePort) ?? [], now)
      : this.#searchOther()
  }

  /** Where several sockets can have sent it, it is clear only what they have in common. */
  #among(owners: readonly (SocketOwner | undefined)[], now: number): LookupResult {
    const own = owners.filter((owner) => owner?.uid === this.#sender.uid) as SocketOwner[]
    const cgroups = [...new Set(own.map((owner) => owner.cgroup))].map((number) =>
      number === undefined ? undefined : this.#cgroups.find(number, now),
    )
    const [cgroup] = cgroups
    if (cgroup === undefined || !cgroups.every((each) => isSame(each, cgroup))) return UNKNOWN
    return { outcome: 'found', cgroup, inode: own.length === 1 ? own[0]!.inode : undefined }
  }

  /** By the process that has the socket open: sock_diag does not tell of these on every kernel. */
  #searchOther(): LookupResult {
    const { family, protocol } = this.#packet
    const { uid } = this.#sender
    const isLate = isAfter(OTHER_MS)
    const inodes = otherSockets(family, protocol, pingIdentifier(this.#packet), uid, isLate)
    if (inodes.size !== 1) return UNKNOWN
    const process = holderOf(inodes, processesOfUser(uid, isLate), isLate)
    const path = process && cgroupOf(process.pid)
    return path === undefined ? UNKNOWN : { outcome: 'found', cgroup: this.#cgroups.at(path), process }
  }

  #withProcess(finding: LookupResult): LookupResult {
    const { cgroup, inode, process } = finding
    const folder = cgroup && this.#cgroups.folderOf(cgroup)
    if (process !== undefined || !inode || folder === undefined) return finding
    const holder = this.#within(this.#blocks, () => {
      const isLate = isAfter(PACKET_MS)
      return holderOf(new Set([inode]), processesOf(folder, isLate), isLate)
    })
    return { ...finding, process: holder }
  }

  #numberOf({ unit, container }: CgroupOwner): number {
    const text = `${unit}\0${container}`
    const known = this.#places.get(text)
    if (known !== undefined) return known
    if (this.#places.size >= PLACES_AT_MOST) this.#places.clear()
    this.#places.set(text, this.#nextPlace)
    return this.#nextPlace++
  }
}

const isSame = (one: Cgroup | undefined, { place }: Cgroup) =>
  one !== undefined && one.place.unit === place.unit && one.place.container === place.container
