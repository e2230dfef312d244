/** What an answer of a resolver says of the name that was asked for. The format is read by dns-packet (RFC 1035, RFC 2782). */
import { decode, type Answer as Resource, TRUNCATED_RESPONSE } from 'dns-packet'
import type { Question } from '../../core/dns/question.js'
import { type Address, type Family, familyBits } from '../../core/packet/ip.js'
import { parseAddress, parseHostName } from '../../text/parse-address.js'

/** Where a service is (RFC 2782). */
export interface Target {
  readonly name: string
  readonly port: number
}

export interface AnswerContent {
  readonly hosts: readonly Address[]
  readonly targets: readonly Target[]
  /** Other names of the same host, on the way from the name that was asked for (CNAME). */
  readonly aliases: readonly string[]
  /** Seconds for which all of it may be kept. */
  readonly ttl: number
}

/** More of anything for one name is nobody's honest answer. */
export const HOSTS_AT_MOST = 64
export const TARGETS_AT_MOST = 16
const CHAIN_AT_MOST = 16
/** Seconds: an answer whose TTL is absurd counts no longer than a day. */
export const TTL_AT_MOST = 86_400

/**
 * Follows the answer from the name that was asked for. undefined: it says nothing that counts, be it a failure, cut off,
 * malformed, a loop, or far too much.
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
  // A part of a chain counts as well: some clients ask for the rest themselves.
  const ttl = Math.min(TTL_AT_MOST, ...own.map((each) => ('ttl' in each ? (each.ttl ?? 0) : 0)))
  return { hosts, targets, aliases: [...names].slice(1), ttl }
}

/** An honest answer has fewer records, in all of its parts, and fewer bytes. Names that are pointers to pointers take time. */
const RECORDS_AT_MOST = 128
const BYTES_AT_MOST = 3072

export interface Message {
  /** In words: NOERROR, NXDOMAIN, SERVFAIL ... */
  readonly rcode: string
  readonly answers: readonly Resource[]
}

/** What a message says, whatever that is; undefined where it is malformed, cut off, or far too much. */
export function messageOf(bytes: Uint8Array): Message | undefined {
  if (bytes.length > BYTES_AT_MOST || recordsOf(bytes) > RECORDS_AT_MOST) return undefined
  try {
    const { answers = [], flags = 0, ...message } = decode(Buffer.from(bytes))
    // It reads past the end of what is cut short, and makes something up.
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

/** ANCOUNT, NSCOUNT and ARCOUNT of the header (RFC 1035, section 4.1.1): pointers make a great many of them slow to read. */
function recordsOf(bytes: Uint8Array): number {
  let records = 0
  for (const at of [6, 8, 10]) records += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
  return records
}

/** The name and, one after the other, those that it is an alias of; undefined where that has no end. */
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
 * The target that an SRV record names. Any bytes may stand in it: what is no host name, be it an address or a pattern,
 * is none, and "." says that there is no such service (RFC 2782).
 */
export function targetsOf(written: string, port: number): Target[] {
  const name = parseHostName(lower(written))
  const isPort = Number.isInteger(port) && port > 0 && port < 65536
  return name.ok && isPort ? [{ name: name.value, port }] : []
}

/** A name in the form of `Question.name`. */
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
 * Whether an address may be that of a mirror. This host, its own link (where clouds keep their metadata), multicast and
 * other families in disguise are not: whoever answers for a name must not be able to open those.
 */
export function isElsewhere({ family, words }: Address): boolean {
  return !NOWHERE.some(
    ([which, first, bits]) =>
      which === family && (words[0]! ^ first) >>> (32 - Math.min(bits, familyBits(family))) === 0,
  )
}
