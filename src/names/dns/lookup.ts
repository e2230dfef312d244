/** Looks names up as the host's programs do: in /etc/hosts, then at the host's resolvers. */
import { Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import type { Address } from '../../core/packet/ip.js'
import { parseAddress } from '../../text/parse-address.js'
import {
  type AnswerContent,
  HOSTS_AT_MOST,
  isElsewhere,
  TARGETS_AT_MOST,
  type Target,
  TTL_AT_MOST,
  targetsOf,
} from './answer-reader.js'
import { ask } from './query-client.js'
import { NO_SEARCH, type SearchList, searched } from './search-list.js'
import { NoConnection } from './tcp-resolver.js'

/** The addresses of a name, and for how many seconds they may be kept. */
export interface Addresses extends Pick<AnswerContent, 'hosts' | 'aliases' | 'ttl'> {}

/** The targets of an SRV name, and for how many seconds they may be kept. */
export interface ServiceTargets extends Pick<AnswerContent, 'targets' | 'ttl'> {}

/** Seconds for which an address from /etc/hosts is kept. */
const HOSTS_FILE_TTL = 60
/**
 * Seconds for which an SRV answer is kept that has no target, or whose TTL is unknown: node:dns does not
 * return it.
 */
const SERVICE_TTL = 300
const NONE = 'it has no address'
const NONE_COUNTS = 'it has no address of another host, or too many'
const TIMEOUT_MS = 2000
const TRIES = 2

/** The addresses that /etc/hosts gives a name (hosts(5)). */
export function parseHostsFile(text: string, name: string): Address[] {
  return text.split('\n').flatMap((line) => {
    const [written, ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (!names.some((each) => each.toLowerCase() === name)) return []
    const address = parseAddress(written ?? '')
    return address.ok ? [address.value] : []
  })
}

/**
 * Looks a name up: /etc/hosts first, then the resolvers of resolv.conf, over TCP where one of them takes
 * that. A short name is completed.
 * @throws Error (rejects) when there is no address, and the reason is known only of one family
 */
export async function lookup(name: string, search = NO_SEARCH): Promise<Addresses> {
  const ask = (each: string) => withFallback(addressesByTcp, addressesByUdp, each)
  return fixedFor(name) ?? firstFound(name, search, ask)
}

/**
 * Looks a name up like `lookup`, but never over UDP, where a local accomplice could help to forge the answer.
 * @throws Error (rejects) when there is no address, or no resolver takes a TCP connection
 */
export async function confirm(name: string, search = NO_SEARCH): Promise<Addresses> {
  return fixedFor(name) ?? firstFound(name, search, addressesByTcp)
}

/** Codes and messages of errors that are answers: there is no such name, or none with an address. */
const NO_SUCH = /^(?:ENOTFOUND|ENODATA|ESERVFAIL)$/
const NO_ADDRESS = /^it has no address|: it answers [A-Z]+$/

/** Asks for each completed name until one has an address. A resolver that does not answer ends that. */
async function firstFound(
  name: string,
  search: SearchList,
  ask: LookupFunction<Addresses>,
): Promise<Addresses> {
  const names = searched(name, search)
  for (const each of names.slice(0, -1)) {
    try {
      return await ask(each)
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException
      if (!NO_SUCH.test(code) && !NO_ADDRESS.test(message)) throw error
    }
  }
  try {
    return await ask(name)
  } catch (error) {
    if ((error as Error).message === NONE && !name.includes('.')) throw new Error(whyNone(names))
    throw error
  }
}

const whyNone = (names: readonly string[]): string =>
  names.length === 1
    ? `${NONE}, and no search domain of resolv.conf completes it`
    : `${NONE}, nor has ${names.slice(0, -1).join(', ')}`

/**
 * Looks an SRV name up. No target is no error: most hosts have no such service. @throws Error (rejects) when
 * no resolver answers
 */
export async function lookupService(service: string): Promise<ServiceTargets> {
  return withFallback(targetsByTcp, targetsByUdp, service)
}

type LookupFunction<Answer> = (name: string) => Promise<Answer>

/** Asks over UDP when no resolver takes TCP: updates must go on behind a resolver that has UDP only. */
async function withFallback<Answer>(
  tcp: LookupFunction<Answer>,
  udp: LookupFunction<Answer>,
  name: string,
): Promise<Answer> {
  try {
    return await tcp(name)
  } catch (error) {
    if (error instanceof NoConnection) return udp(name)
    throw error
  }
}

function fixedFor(name: string): Addresses | undefined {
  const hosts = parseHostsFile(readHosts(), name)
  return hosts.length > 0 ? { hosts, aliases: [], ttl: HOSTS_FILE_TTL } : undefined
}

async function addressesByTcp(name: string): Promise<Addresses> {
  const replies = await ask(name, ['A', 'AAAA'])
  const hosts = replies.flatMap((reply) => reply.hosts)
  if (hosts.length === 0) throw new Error(replies.some(({ hasRecords }) => hasRecords) ? NONE_COUNTS : NONE)
  const aliases = [...new Set(replies.flatMap((reply) => reply.aliases))]
  return { hosts, aliases, ttl: Math.min(...replies.map(({ ttl }) => ttl)) }
}

async function targetsByTcp(service: string): Promise<ServiceTargets> {
  const targets: Target[] = []
  let ttl = TTL_AT_MOST
  for (const reply of await ask(service, ['SRV'])) {
    targets.push(...reply.targets)
    ttl = Math.min(ttl, reply.ttl)
  }
  return { targets, ttl: targets.length > 0 ? ttl : SERVICE_TTL }
}

/** Makes a new resolver for each look-up, so that a changed resolv.conf counts. */
const resolver = () => new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })

async function addressesByUdp(name: string): Promise<Addresses> {
  const asked = resolver()
  const answers = await Promise.allSettled([
    asked.resolve4(name, { ttl: true }),
    asked.resolve6(name, { ttl: true }),
  ])
  const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  const failed = answers.find((answer) => answer.status === 'rejected')
  if (records.length === 0) throw failed?.reason ?? new Error(NONE)
  const hosts = records.flatMap(({ address }) => {
    const parsed = parseAddress(address)
    return parsed.ok && isElsewhere(parsed.value) ? [parsed.value] : []
  })
  if (hosts.length === 0 || records.length > 2 * HOSTS_AT_MOST) throw new Error(NONE_COUNTS)
  return { hosts, aliases: [], ttl: Math.min(TTL_AT_MOST, ...records.map(({ ttl }) => ttl)) }
}

async function targetsByUdp(service: string): Promise<ServiceTargets> {
  try {
    const records = await resolver().resolveSrv(service)
    const targets = records.flatMap(({ name, port }) => targetsOf(name, port))
    return { targets: targets.length > TARGETS_AT_MOST ? [] : targets, ttl: SERVICE_TTL }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTFOUND' && code !== 'ENODATA') throw error
    return { targets: [], ttl: SERVICE_TTL }
  }
}

function readHosts(): string {
  try {
    return readFileSync('/etc/hosts', 'utf8')
  } catch {
    return ''
  }
}
