import type { Address } from '../core/packet/ip.js'
import { parseAddress } from '../text/parse-address.js'

/** The remembered accepted flows: the answer to GET /v1/passed, and a file in the state directory. */
export interface PassedStatus {
  /** Kinds of packets, the last seen last. */
  readonly kinds: readonly PassedKindStatus[]
  /** Number of kinds that were evicted for new ones. */
  readonly evicted: number
}

export interface PassedKindStatus {
  /** Left out when the kernel named no user. */
  readonly uid?: number | undefined
  readonly user?: string | undefined
  /**
   * Systemd units that sent some of these packets; left out when they were not looked up, or the kernel does
   * not have them.
   */
  readonly units?: readonly string[] | undefined
  /** As in the block log. */
  readonly transport: string
  readonly address: string
  readonly port?: number | undefined
  /** Source port of the last packet. */
  readonly sourcePort?: number | undefined
  /** The name by which the user, or a resolver on this host, last got that address. */
  readonly domain?: string | undefined
  readonly reason: string
  readonly rule: string
  readonly count: number
  /** RFC 3339. */
  readonly first: string
  readonly last: string
}

/** A kind of accepted packets, read from a status or from the file. */
export interface AcceptedFlowRow {
  readonly uid: number | undefined
  readonly user: string | undefined
  /** Empty when the units are not known. */
  readonly units: readonly string[]
  readonly reason: string
  readonly rule: string
  readonly transport: string
  readonly host: Address
  readonly address: string
  readonly port: number | undefined
  readonly sourcePort: number | undefined
  readonly domain: string | undefined
  readonly question: undefined
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly first: number
  readonly last: number
}

/**
 * Reads the kinds of accepted packets.
 * @param status from the service or its file, which may have been edited: invalid kinds are skipped
 */
export function passedOf(status: unknown): AcceptedFlowRow[] {
  const { kinds } = (status ?? {}) as { kinds?: unknown }
  return Array.isArray(kinds) ? kinds.flatMap(kindOf) : []
}

/** Reads the number of evicted kinds. @param status as for `passedOf` */
export function forgottenOf(status: unknown): number {
  const { evicted } = (status ?? {}) as { evicted?: unknown }
  return isCount(evicted) ? evicted : 0
}

function kindOf(written: Partial<PassedKindStatus> | null): AcceptedFlowRow[] {
  const { uid, user, units, transport, address, port, sourcePort, domain, reason, rule, count } =
    written ?? {}
  const host = parseAddress(String(address))
  const isWhole = isText(transport) && isText(reason) && isText(rule) && isCount(count) && host.ok
  if (!isWhole) return []
  return [
    {
      uid: isCount(uid) ? uid : undefined,
      user: isText(user) ? user : undefined,
      units: Array.isArray(units) ? units.filter(isText) : [],
      ...{ reason, rule, transport, count, host: host.value, address: String(address), question: undefined },
      port: isPort(port) ? port : undefined,
      sourcePort: isPort(sourcePort) ? sourcePort : undefined,
      domain: isText(domain) ? domain : undefined,
      first: timeOf(written?.first),
      last: timeOf(written?.last),
    },
  ]
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isPort = (value: unknown): value is number => isCount(value) && value > 0 && value < 65536

/** Reads a time. An invalid time counts as recent. */
function timeOf(value: unknown): number {
  const time = Date.parse(String(value))
  return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time
}
