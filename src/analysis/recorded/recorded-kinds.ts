/** Sums the blocks of a log by kind: sender, destination, reason. */
import { isIP } from 'node:net'
import { formatAddress } from '../../core/packet/address-text.js'
import { type Address, isIn, type PortRange } from '../../core/packet/ip.js'
import { ROOT } from '../../core/policy/inherited-sockets.js'
import type { Block } from '../../records/block-log/event-reader.js'
import { parseAddress } from '../../text/parse-address.js'

/** Number and time of blocks. Times are milliseconds since the epoch. */
export interface Evidence {
  blocks: number
  first: number
  last: number
  /** Paths of the first few programs. */
  programs: readonly string[]
  /** The hosts of the blocks, where several hosts are merged. */
  hosts?: Set<string>
}

export interface RecordedKind extends Evidence, Who {
  readonly reason: string
  readonly transport: string | undefined
  readonly host: Address | undefined
  /** The text of `host`, or of an invalid address in the log. */
  readonly address: string | undefined
  readonly port: number | undefined
  /** Source port of the first block. */
  readonly sourcePort: number | undefined
  /** Whether root bound the source port itself: other processes may inherit such sockets of services. */
  readonly isOwnPort: boolean
  readonly domain: string | undefined
  readonly question: string | undefined
}

export interface Who {
  readonly uid: number | undefined
  readonly user: string | undefined
  readonly unit: string | undefined
  readonly container: string | undefined
}

const PROGRAMS = 3
/**
 * Maximum number of kinds of one user and unit: a scan has more, and must not displace the blocks of others.
 */
const KINDS_AT_MOST = 2048
const WHOS_AT_MOST = 1024
const ALL_AT_MOST = 32_768

const NONE: readonly string[] = []

export const newEvidence = (): Evidence => ({
  blocks: 0,
  first: Number.POSITIVE_INFINITY,
  last: Number.NEGATIVE_INFINITY,
  programs: NONE,
})

export function addEvidence(to: Evidence, { blocks, first, last, programs, hosts }: Evidence): void {
  to.blocks += blocks
  to.first = Math.min(to.first, first)
  to.last = Math.max(to.last, last)
  for (const program of programs)
    if (to.programs.length < PROGRAMS && !to.programs.includes(program))
      to.programs = [...to.programs, program]
  if (hosts === undefined) return
  to.hosts ??= new Set()
  for (const host of hosts) to.hosts.add(host)
}

/** Makes a key of user and unit. */
export const whoKey = ({ uid, user, unit, container }: Who): string =>
  [uid ?? user ?? '-', unit ?? container ?? ''].join('\0')

/** A bounded table of kinds. The caller counts blocks that do not fit. */
export class RecordedKinds {
  readonly #ephemeralPorts: PortRange
  readonly #kinds = new Map<string, RecordedKind>()
  readonly #perWho = new Map<string, number>()

  /** @param ephemeralPorts ports that the kernel chooses from */
  constructor(ephemeralPorts: PortRange) {
    this.#ephemeralPorts = ephemeralPorts
  }

  get all(): IterableIterator<RecordedKind> {
    return this.#kinds.values()
  }

  /** @returns false when there are too many kinds */
  note(block: Block): boolean {
    const isOwnPort = this.#isOwnPort(block)
    const key = keyOf(block, isOwnPort)
    const kind = this.#kinds.get(key) ?? this.#add(key, block, isOwnPort)
    if (kind === undefined) return false
    addEvidence(kind, evidenceOf(block))
    return true
  }

  #add(key: string, block: Block, isOwnPort: boolean): RecordedKind | undefined {
    const who = whoKey(block)
    const own = this.#perWho.get(who)
    if (own === undefined ? this.#perWho.size >= WHOS_AT_MOST : own >= KINDS_AT_MOST) return undefined
    if (this.#kinds.size >= ALL_AT_MOST) return undefined
    this.#perWho.set(who, (own ?? 0) + 1)
    const kind = kindOf(block, isOwnPort)
    this.#kinds.set(key, kind)
    return kind
  }

  #isOwnPort({ uid, sourcePort }: Block): boolean {
    return uid === ROOT && sourcePort !== undefined && !isIn(this.#ephemeralPorts, sourcePort)
  }
}

export const evidenceOf = ({ repeat, time, program }: Block): Evidence => ({
  blocks: repeat,
  first: time,
  last: time,
  programs: program === undefined ? NONE : [program],
})

function keyOf(block: Block, isOwnPort: boolean): string {
  const { reason, transport, address, port, domain, question } = block
  return [whoKey(block), reason, transport, address, port, domain, question, isOwnPort].join('\0')
}

/** Makes a kind without evidence. */
export function kindOf(block: Block, isOwnPort: boolean): RecordedKind {
  const { uid, user, unit, container, reason, transport, address, port, sourcePort, domain, question } = block
  const host = hostOf(address)
  return {
    ...newEvidence(),
    ...{ uid, user, unit, container, reason, transport, port, sourcePort, isOwnPort, domain, question, host },
    address: host === undefined ? address : formatAddress(host.family, host.words),
  }
}

function hostOf(address: string | undefined): Address | undefined {
  if (address === undefined || isIP(address) === 0) return undefined
  const parsed = parseAddress(address)
  return parsed.ok ? parsed.value : undefined
}
