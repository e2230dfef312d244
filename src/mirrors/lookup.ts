import { Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { parseAddress } from '../addressing.js'
import type { Host } from '../core/ruleset.js'
import type { Answer } from './names.js'

/** Seconds for which an address from /etc/hosts is taken. */
const HOSTS_FILE_TTL = 60
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

/**
 * Looks a name up as programs of this host would: /etc/hosts first, then the resolvers of resolv.conf.
 * A fresh resolver each time, so that a changed resolv.conf counts.
 * @throws Error (rejects) of node:dns when neither family could be asked
 */
export async function lookup(name: string): Promise<Answer> {
  const fixed = parseHostsFile(readHosts(), name)
  if (fixed.length > 0) return { hosts: fixed, ttl: HOSTS_FILE_TTL }
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  const answers = await Promise.allSettled([
    resolver.resolve4(name, { ttl: true }),
    resolver.resolve6(name, { ttl: true }),
  ])
  const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  const failed = answers.find((answer) => answer.status === 'rejected')
  if (records.length === 0 && failed) throw failed.reason
  return {
    hosts: records.flatMap(({ address }) => {
      const parsed = parseAddress(address)
      return parsed.ok ? [parsed.value] : []
    }),
    ttl: Math.min(...records.map(({ ttl }) => ttl)),
  }
}

function readHosts(): string {
  try {
    return readFileSync('/etc/hosts', 'utf8')
  } catch {
    return ''
  }
}
