/** Suggests entries for `allow` from the blocks of a log. */

import type { Config } from '../../config/config.js'
import { formatDuration } from '../../config/formats.js'
import { fitsPorts } from '../../core/packet/ip.js'
import type { Policy } from '../../core/policy/policy.js'
import { type Block, isUserSummary } from '../../records/block-log/event-reader.js'
import type { PolicyTrial } from '../recorded/policy-trial.js'
import {
  addEvidence,
  type Evidence,
  evidenceOf,
  newEvidence,
  RecordedKinds,
  type Who,
} from '../recorded/recorded-kinds.js'
import { Scans } from '../recorded/scan-detector.js'
import { find, type LeftOut, leaveOut, type Obstacle, type Suspect } from './candidates.js'
import { entriesOf, type NameUser, type ProposedEntry } from './entries.js'

export interface Suggestion {
  /** All blocks, suggested or not. */
  readonly evidence: Evidence
  readonly entries: readonly SuggestedEntry[]
  readonly suspects: readonly SuspectEntries[]
  readonly leftOut: ReadonlyMap<Obstacle, LeftOut>
  /** The number of hosts, where several are merged. */
  readonly hosts?: number
}

export interface SuggestedEntry extends ProposedEntry {
  /** Whether users who update reached for ports of mirrors. */
  readonly isForMirrors: boolean
}

export interface SuspectEntries extends Evidence {
  readonly who: Who
  /** Highest number of destinations ... */
  readonly destinations: number
  /** ... within this time: `10s`. */
  readonly window: string
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly entries: readonly ProposedEntry[]
}

export interface SuggestOptions {
  readonly config: Pick<Config, 'allow' | 'containment' | 'mirrors'>
  readonly policy: Pick<Policy, 'ephemeralPorts'>
  readonly judge: PolicyTrial
  readonly resolverUsers: readonly number[]
  readonly nameUser: NameUser
}

/** Collects the blocks of a log, in their order, and makes a suggestion of them. */
export class Suggester {
  readonly #options: SuggestOptions
  readonly #kinds: RecordedKinds
  readonly #scans: Scans
  readonly #evidence = newEvidence()
  readonly #leftOut = new Map<Obstacle, LeftOut>()

  constructor(options: SuggestOptions) {
    this.#options = options
    this.#kinds = new RecordedKinds(options.policy.ephemeralPorts)
    this.#scans = new Scans(options.config.containment)
  }

  note(block: Block): void {
    addEvidence(this.#evidence, evidenceOf(block))
    if (block.reason === 'suppressed') leaveOut(this.#leftOut, 'suppressed', block.repeat, block.user)
    // The kinds of what the kernel has refused again have lines of their own.
    else if (isUserSummary(block)) return
    else if (!this.#kinds.note(block)) leaveOut(this.#leftOut, 'crowd', block.repeat)
    this.#scans.note(block)
  }

  suggest(): Suggestion {
    const { judge, resolverUsers, nameUser, config } = this.#options
    const scanOf = (who: string) => this.#scans.found(who)
    const found = find([...this.#kinds.all], {
      judge,
      resolverUsers,
      scanOf,
      window: config.containment.window,
    })
    // Names of the service's own rules cannot result: suggested names start with a user or a unit.
    const taken = new Set(config.allow.map(({ name }) => name))
    const entries = entriesOf(found.atoms, nameUser, taken)
    for (const { name } of entries) taken.add(name)
    return {
      evidence: this.#evidence,
      entries: entries.map((entry) => ({ ...entry, isForMirrors: isForMirrors(entry, config.mirrors) })),
      suspects: found.suspects
        .map((suspect) => this.#suspect(suspect, taken))
        .sort((a, b) => b.blocks - a.blocks),
      leftOut: new Map([...this.#leftOut, ...found.leftOut]),
    }
  }

  #suspect({ who, scan, atoms }: Suspect, taken: Set<string>): SuspectEntries {
    const entries = entriesOf(atoms, this.#options.nameUser, taken)
    const sum = newEvidence()
    for (const entry of entries) {
      taken.add(entry.name)
      addEvidence(sum, entry)
    }
    const window = formatDuration(this.#options.config.containment.window)
    return { ...sum, who, window, destinations: scan.destinations, time: scan.time, entries }
  }
}

function isForMirrors({ protocol, uids, ports }: ProposedEntry, mirrors: Config['mirrors']): boolean {
  const isTheirs = uids.length > 0 && uids.every((uid) => mirrors.users.includes(uid))
  return protocol === 'tcp' && isTheirs && ports.every((port) => fitsPorts(mirrors.ports, port))
}
