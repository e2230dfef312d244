/** Asks the host's own resolvers, as its programs do. */
import { Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { parseAddress } from '../addressing.js'
import type { Host } from '../core/types.js'
import {
  HOSTS_AT_MOST,
  isElsewhere,
  TARGETS_AT_MOST,
  type Target,
  TTL_AT_MOST,
  targetsOf,
} from './message.js'

/** The addresses of a name, and for how many seconds they may be kept. */
export interface Addresses {
  readonly hosts: readonly Host[]
  readonly ttl: number
}

/** Seconds for which an address from /etc/hosts is taken. */
const HOSTS_FILE_TTL = 60
/** node:dns does not tell how long a service may be kept: as long as most are. */
const SERVICE_TTL = 300
const TIMEOUT_MS = 2000
const TRIES = 2

/** The addresses that /etc/hosts gives a name (hosts(5)). */
export function parseHostsFile(text: string, name: string): Host[] {
  return text.split('\n').flatMap((line) => {
    const [written, ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (!names.some((each) => each.toLowerCase() === name)) return []
    const address = parseAddress(written ?? '')
    return address.ok ? [address.value] : []
  })
}

/** A fresh resolver each time, so that a changed resolv.conf counts. */
const resolver = () => new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })

/**
 * Looks a name up: /etc/hosts first, then the resolvers of resolv.conf.
 * @throws Error (rejects) when there is no address, and the reason is known only of one family
 */
export async function lookup(name: string): Promise<Addresses> {
  const fixed = parseHostsFile(readHosts(), name)
  if (fixed.length > 0) return { hosts: fixed, ttl: HOSTS_FILE_TTL }
  const asked = resolver()
  const answers = await Promise.allSettled([
    asked.resolve4(name, { ttl: true }),
    asked.resolve6(name, { ttl: true }),
  ])
  const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  const failed = answers.find((answer) => answer.status === 'rejected')
  if (records.length === 0) throw failed?.reason ?? new Error('it has no address')
  if (records.length > 2 * HOSTS_AT_MOST) throw new Error(`it has ${records.length} addresses: too many`)
  const hosts = records.flatMap(({ address }) => {
    const parsed = parseAddress(address)
    return parsed.ok && isElsewhere(parsed.value) ? [parsed.value] : []
  })
  if (hosts.length === 0) throw new Error('it has no address of another host')
  return { hosts, ttl: Math.min(TTL_AT_MOST, ...records.map(({ ttl }) => ttl)) }
}

/** Where a service is, and for how many seconds that may be kept. */
export interface ServiceTargets {
  readonly targets: readonly Target[]
  readonly ttl: number
}

/** None is no error: most hosts have no such service. @throws Error (rejects) where nobody answers */
export async function lookupService(service: string): Promise<ServiceTargets> {
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
