/** What a log tells of, summed by kind: who, whereto, why. */
import { isIP } from 'node:net'
import { formatAddress } from '../../core/packet/address-text.js'
import { type Address, isIn, type PortRange } from '../../core/packet/ip.js'
import { ROOT } from '../../core/policy/inherited-sockets.js'
import type { Block } from '../../records/block-log/event-reader.js'
import { parseAddress } from '../../text/parse-address.js'

/** How often, and when. Times are milliseconds since the epoch. */
export interface Evidence {
  blocks: number
  first: number
  last: number
  /** Paths of programs, the first few. */
  programs: readonly string[]
}

export interface RecordedKind extends Evidence, Who {
  readonly reason: string
  readonly transport: string | undefined
  readonly host: Address | undefined
  /** As `host`, or what stood there. */
  readonly address: string | undefined
  readonly port: number | undefined
  /** Of the first of them. */
  readonly sourcePort: number | undefined
  /** Root has bound the port that it came from: sockets of services are handed on. */
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
/** Kinds of one user and unit; who has more of them scans, and must not keep out what others have done. */
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

export function addEvidence(to: Evidence, { blocks, first, last, programs }: Evidence): void {
  to.blocks += blocks
  to.first = Math.min(to.first, first)
  to.last = Math.max(to.last, last)
  for (const program of programs)
    if (to.programs.length < PROGRAMS && !to.programs.includes(program))
      to.programs = [...to.programs, program]
}

/** User and unit, as a key. */
export const whoKey = ({ uid, user, unit, container }: Who): string =>
  [uid ?? user ?? '-', unit ?? container ?? ''].join('\0')

/** Memory is bounded; what does not fit is for the caller to count. */
export class RecordedKinds {
  readonly #handedOut: PortRange
  readonly #kinds = new Map<string, RecordedKind>()
  readonly #perWho = new Map<string, number>()

  /** @param handedOut ports that the kernel chooses from */
  constructor(handedOut: PortRange) {
    this.#handedOut = handedOut
  }

  get all(): IterableIterator<RecordedKind> {
    return this.#kinds.values()
  }

  /** @returns false where there are too many kinds */
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
    return uid === ROOT && sourcePort !== undefined && !isIn(this.#handedOut, sourcePort)
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

/** A kind of which nothing was seen yet. */
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
