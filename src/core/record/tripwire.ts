import { formatAddress } from '../packet/address-text.js'
import { IPPROTO_TCP } from '../packet/ip.js'
import { type Packet, TCPHDR_ACK, TCPHDR_SYN } from '../packet/packet.js'
import { transportOf } from '../packet/protocol-names.js'
import type { SenderDetails, SenderLookup } from '../packet/sender.js'
import { DNS_PORT } from '../policy/infrastructure-rules.js'
import { MALFORMED } from '../policy/policy.js'
import type { Decision } from '../policy/rule.js'
import type { BlockNames, NotedBlock } from './block-summary.js'
import { FirstContacts, type ScanLimits } from './first-contacts.js'

/** Destinations of one sender that are remembered. */
const DESTINATIONS_AT_MOST = 1024
/** First contacts that an alert lists. */
const LISTED_AT_MOST = 10
/** Users who are watched at a time, and units of each; a user's further units are watched as one. */
const USERS_AT_MOST = 64
const UNITS_AT_MOST = 8
/** The `place` of packets whose unit is not known (see SenderLookup), and that of a user's further units. */
const LAST_UNKNOWN_PLACE = 1
const NO_PLACE = 0

/** A sender who is blocked at more and more destinations. */
export interface Burst {
  readonly uid: number
  /** The sender of a first contact whose program is known, if there is any. */
  readonly who: SenderDetails
  /** The cgroup of its unit: the path below the root of the hierarchy. */
  readonly cgroup: string | undefined
  /** The first contacts as text: `tcp 198.51.100.7 port 445`. */
  readonly destinations: readonly string[]
  /** First contacts, up to the alert. */
  readonly contacts: number
  /** Milliseconds of a monotonic clock: the first and the last contact. */
  readonly start: number
  readonly last: number
  /** Blocks of the sender since the first contact. */
  readonly blocks: number
}

export interface TripwireOptions {
  /** Returns the limits in force. */
  readonly limits: () => ScanLimits
  /** Whether the user resolves names for the host. */
  readonly isResolver: (uid: number) => boolean
  /** Returns the name by which a user found a destination. */
  readonly domainOf: (packet: Packet, uid: number) => string | undefined
}

/** What is known of one user in one unit. */
interface Watched {
  readonly contacts: FirstContacts
  readonly uid: number
  who: SenderDetails
  cgroup: string | undefined
  destinations: string[]
  blocks: number
  start: number
  last: number
  isBurst: boolean
}

/**
 * Recognises who scans: blocked at many destinations in a short time, as a worm is. Bounded, also against random
 * destinations, users and units. Only what opens a connection counts as a contact: segments of connections that are gone
 * go to whoever had them.
 */
export class Tripwire {
  readonly #options: TripwireOptions
  /** By user and place. The user who was noted longest ago comes first. */
  readonly #users = new Map<number, Map<number, Watched>>()
  /** The sender of the last block: a flood is mostly of one. */
  #last: Watched | undefined
  #lastPlace = NO_PLACE
  #limits: ScanLimits
  #begun: Burst[] = []

  constructor(options: TripwireOptions) {
    this.#options = options
    this.#limits = options.limits()
  }

  /**
   * Notes a block. For the packet path: repeats cost next to nothing.
   * @param noted the outcome of the block log @param now milliseconds of a monotonic clock
   */
  note(
    packet: Packet,
    uid: number,
    decision: Decision,
    sender: SenderLookup,
    noted: NotedBlock,
    now: number,
  ): void {
    const watched = this.#watch(uid, sender.place)
    watched.blocks++
    if (noted === 'repeated' || !isContact(packet, decision) || this.#isQuery(packet, uid)) return
    if (watched.isBurst) watched.last = now
    else this.#count(watched, packet, sender, noted, now)
  }

  /** Returns the bursts that have begun since the last call. */
  take(): readonly Burst[] {
    if (this.#begun.length === 0) return NONE
    const begun = this.#begun
    this.#begun = []
    return begun
  }

  /**
   * Ends the bursts that had no first contact for a whole window, and forgets who was not noted for a time.
   * @param now milliseconds of the same clock @returns the bursts that have ended
   */
  tick(now: number): readonly Burst[] {
    this.#followLimits()
    const ended: Burst[] = []
    for (const units of this.#users.values())
      for (const watched of units.values()) {
        if (!watched.isBurst || now - watched.last < this.#limits.window * 1000) continue
        ended.push(burstOf(watched))
        watched.contacts.restart()
        watched.isBurst = false
        this.#last = undefined
      }
    return ended
  }

  /** Counts a possible first contact. The window slides, so that older contacts are no part of a burst. */
  #count(
    watched: Watched,
    packet: Packet,
    sender: SenderLookup,
    noted: Exclude<NotedBlock, 'repeated'>,
    now: number,
  ): void {
    const names = noted === 'suppressed' ? this.#namesOf(packet, watched.uid) : noted.names
    const { family, destination, destinationPort: port } = packet
    const address = formatAddress(family, destination)
    const contacts = watched.contacts.note({ address, port, ...names }, now)
    if (contacts === 0) return
    if (contacts === 1) begin(watched, now)
    watched.last = now
    watched.cgroup ??= sender.unitCgroup
    watched.destinations = [...watched.destinations, textOf(packet, address, names)].slice(-LISTED_AT_MOST)
    if (noted !== 'suppressed' && (noted.who.executable !== undefined || watched.who.unit === undefined))
      watched.who = noted.who
    if (contacts < this.#limits.destinations) return
    watched.isBurst = true
    // Packets of an unknown unit count for this burst from now on.
    this.#last = undefined
    this.#begun.push(burstOf(watched))
  }

  #watch(uid: number, place: number): Watched {
    if (this.#last?.uid === uid && this.#lastPlace === place) return this.#last
    const units = this.#unitsOf(uid)
    const isNamed = place > LAST_UNKNOWN_PLACE && (units.has(place) || units.size < UNITS_AT_MOST)
    const key = isNamed ? place : NO_PLACE
    // In a flood the unit of some packets is not looked up: they are part of the burst of their user.
    const burst = key === NO_PLACE ? [...units.values()].find(({ isBurst }) => isBurst) : undefined
    const watched = burst ?? units.get(key) ?? newWatched(uid, this.#limits.window)
    if (burst === undefined) units.set(key, watched)
    this.#last = watched
    this.#lastPlace = place
    return watched
  }

  #unitsOf(uid: number): Map<number, Watched> {
    const units = this.#users.get(uid) ?? new Map<number, Watched>()
    this.#users.delete(uid)
    if (this.#users.size >= USERS_AT_MOST) this.#users.delete(this.#users.keys().next().value!)
    this.#users.set(uid, units)
    return units
  }

  /** Whether the packet is a query of a resolver, which asks servers all over the world. */
  #isQuery({ destinationPort }: Packet, uid: number): boolean {
    return (
      (destinationPort === DNS_PORT || destinationPort === DNS_OVER_TLS_PORT) && this.#options.isResolver(uid)
    )
  }

  #namesOf(packet: Packet, uid: number): BlockNames {
    return { question: undefined, domain: this.#options.domainOf(packet, uid) }
  }

  /** Begins anew when the limits have changed. */
  #followLimits(): void {
    const limits = this.#options.limits()
    const { destinations, window } = this.#limits
    if (limits.destinations === destinations && limits.window === window) return
    this.#limits = limits
    this.#users.clear()
    this.#last = undefined
  }
}

const NONE: readonly Burst[] = []
const DNS_OVER_TLS_PORT = 853
const UNKNOWN: SenderDetails = { attribution: 'unknown' }

/** Whether a blocked packet opens a connection, or needs none. */
const isContact = ({ protocol, tcpFlags }: Packet, decision: Decision): boolean =>
  decision !== MALFORMED &&
  (protocol !== IPPROTO_TCP || (tcpFlags & (TCPHDR_SYN | TCPHDR_ACK)) === TCPHDR_SYN)

const newWatched = (uid: number, window: number): Watched => ({
  contacts: new FirstContacts(window, DESTINATIONS_AT_MOST),
  uid,
  who: UNKNOWN,
  cgroup: undefined,
  destinations: [],
  blocks: 0,
  start: 0,
  last: 0,
  isBurst: false,
})

/** Begins what may become a burst, with the block that was just noted. */
function begin(watched: Watched, now: number): void {
  watched.who = UNKNOWN
  watched.cgroup = undefined
  watched.destinations = []
  watched.blocks = 1
  watched.start = now
}

const burstOf = ({ uid, who, cgroup, destinations, start, last, blocks, contacts }: Watched): Burst => ({
  ...{ uid, who, cgroup, destinations, start, last, blocks },
  contacts: contacts.current,
})

function textOf(packet: Packet, address: string, { question, domain }: BlockNames): string {
  if (question !== undefined) return question
  const name = domain === undefined ? '' : ` (${domain})`
  const port = packet.destinationPort === 0 ? '' : ` port ${packet.destinationPort}`
  return `${transportOf(packet.protocol)} ${address}${name}${port}`
}
