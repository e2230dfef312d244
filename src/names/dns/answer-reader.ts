/** Reads the addresses and targets from a DNS answer. dns-packet decodes the message (RFC 1035, RFC 2782). */
import { decode, type Answer as Resource, TRUNCATED_RESPONSE } from 'dns-packet'
import type { Question } from '../../core/dns/question.js'
import { type Address, type Family, familyBits } from '../../core/packet/ip.js'
import { parseAddress, parseHostName } from '../../text/parse-address.js'

/** The target of an SRV record (RFC 2782). */
export interface Target {
  readonly name: string
  readonly port: number
}

export interface AnswerContent {
  readonly hosts: readonly Address[]
  readonly targets: readonly Target[]
  /** The names that the CNAME records lead through, without the name of the query. */
  readonly aliases: readonly string[]
  /** Seconds for which the whole answer may be kept: the shortest TTL. */
  readonly ttl: number
}

/** Limits for one name: no honest answer has more. */
export const HOSTS_AT_MOST = 64
export const TARGETS_AT_MOST = 16
const CHAIN_AT_MOST = 16
/** The longest TTL that is believed: seconds. */
export const TTL_AT_MOST = 86_400

/**
 * Follows an answer from the name of the query. Returns undefined when the answer has nothing to keep: a
 * failure, a message that is truncated or malformed, a CNAME loop, or more than the limits.
 */
export function readAnswer(bytes: Uint8Array, question: Question): AnswerContent | undefined {
  const resources = resourcesOf(bytes)
  const names = chain(resources, question.name)
  if (names === undefined) return undefined
  const own = resources.filter(
    (each) => names.has(lower(each.name)) && 'class' in each && each.class === 'IN',
  )
  const hosts = own.flatMap(hostOf)
  const targets = own.flatMap(targetOf)
  if (hosts.length + targets.length === 0 && names.size === 1) return undefined
  if (hosts.length > HOSTS_AT_MOST || targets.length > TARGETS_AT_MOST) return undefined
  // A part of a CNAME chain counts as well: some clients ask for the rest themselves.
  const ttl = Math.min(TTL_AT_MOST, ...own.map((each) => ('ttl' in each ? (each.ttl ?? 0) : 0)))
  return { hosts, targets, aliases: [...names].slice(1), ttl }
}

/**
 * Limits of a message: honest answers are smaller, and names made of pointers to pointers take time to
 * decode.
 */
const RECORDS_AT_MOST = 128
const BYTES_AT_MOST = 3072

export interface Message {
  /** The response code by its name: NOERROR, NXDOMAIN, SERVFAIL ... */
  readonly rcode: string
  readonly answers: readonly Resource[]
}

/** Decodes a message. Returns undefined when it is malformed, truncated, or beyond the limits. */
export function messageOf(bytes: Uint8Array): Message | undefined {
  if (bytes.length > BYTES_AT_MOST || recordsOf(bytes) > RECORDS_AT_MOST) return undefined
  try {
    const { answers = [], flags = 0, ...message } = decode(Buffer.from(bytes))
    // dns-packet reads past the end of a message that is cut short.
    const isWhole = decode.bytes <= bytes.length && (flags & TRUNCATED_RESPONSE) === 0
    return isWhole ? { rcode: (message as { rcode?: string }).rcode ?? '', answers } : undefined
  } catch {
    return undefined
  }
}

function resourcesOf(bytes: Uint8Array): readonly Resource[] {
  const message = messageOf(bytes)
  return message?.rcode === 'NOERROR' ? message.answers : []
}

/** The number of records by the header: ANCOUNT, NSCOUNT and ARCOUNT (RFC 1035, section 4.1.1). */
function recordsOf(bytes: Uint8Array): number {
  let records = 0
  for (const at of [6, 8, 10]) records += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  return records
}

/**
 * The name and the names that its CNAME records lead to, in order. Returns undefined for a loop or a chain
 * too long.
 */
function chain(resources: readonly Resource[], name: string): Set<string> | undefined {
  const next = new Map(
    resources.flatMap((each) => (each.type === 'CNAME' ? [[lower(each.name), lower(each.data)]] : [])),
  )
  const names = new Set([name])
  for (let at = next.get(name); at !== undefined; at = next.get(at)) {
    if (names.has(at) || names.size > CHAIN_AT_MOST) return undefined
    names.add(at)
  }
  return names
}

function hostOf(resource: Resource): Address[] {
  if (resource.type !== 'A' && resource.type !== 'AAAA') return []
  const address = parseAddress(resource.data)
  return address.ok && isElsewhere(address.value) ? [address.value] : []
}

function targetOf(resource: Resource): Target[] {
  if (resource.type !== 'SRV') return []
  return targetsOf(resource.data.target, resource.data.port ?? 0)
}

/**
 * The target of an SRV record, or none. The record may hold any bytes: a target that is not a host name (an
 * address, a pattern) is left out, and so is ".", which means that there is no such service (RFC 2782).
 */
export function targetsOf(written: string, port: number): Target[] {
  const name = parseHostName(lower(written))
  const isPort = Number.isInteger(port) && port > 0 && port < 65536
  return name.ok && isPort ? [{ name: name.value, port }] : []
}

/** Writes a name as `Question.name` does. */
const lower = (name: string) => name.toLowerCase().replace(/\.$/, '')

type Range = readonly [family: Family, first: number, bits: number]
/** 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3; ::/32, fe80::/10, ff00::/8. */
const NOWHERE: readonly Range[] = [
  [4, 0x00000000, 8],
  [4, 0x7f000000, 8],
  [4, 0xa9fe0000, 16],
  [4, 0xe0000000, 3],
  [6, 0x00000000, 32],
  [6, 0xfe800000, 10],
  [6, 0xff000000, 8],
]

/**
 * Whether an address may be learned. Addresses of this host, of its link (where clouds keep their metadata),
 * multicast and IPv4 in IPv6 form may not: an attacker who answers for a name must not be able to open those.
 */
export function isElsewhere({ family, words }: Address): boolean {
  return !NOWHERE.some(
    ([which, first, bits]) =>
      which === family && (words[0]! ^ first) >>> (32 - Math.min(bits, familyBits(family))) === 0,
  )
}
