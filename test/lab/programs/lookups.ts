/**
 * lookups PLAN: looks a name up through the resolver of /etc/resolv.conf, and connects at once to each
 * address that it gets. PLAN is JSON, see below. Prints one `LookupReport`.
 */

import { promises as dns } from 'node:dns'
import { connect } from 'node:net'
import { PATIENCE_MS } from '../waiting.js'
import { outcomeOf, say, textArgument } from './say.js'

export interface LookupPlan {
  /** A `*` in it becomes the number of the look-up, from 1 on. */
  readonly name: string
  readonly count: number
  readonly port: number
  /** The C library's getaddrinfo(3), or Node's own resolver, which has a socket of its own for each query. */
  readonly way: 'getaddrinfo' | 'resolver'
  /** The number of look-ups at a time; 1 when absent. */
  readonly concurrency?: number
  /** The timeout of a look-up, and of a connection, in milliseconds; PATIENCE_MS when absent. */
  readonly timeout?: number
}

export interface LookupReport {
  readonly asked: number
  readonly answered: number
  readonly connected: number
  /**
   * The first five failures: `3.fresh.example.org: ENOTFOUND`, `3.fresh.example.org, 198.18.4.3:
   * EHOSTUNREACH`.
   */
  readonly failures: readonly string[]
}

const MOST_FAILURES = 5

const plan = JSON.parse(textArgument(0)) as LookupPlan
const { concurrency = 1, timeout = PATIENCE_MS } = plan
const failures: string[] = []
let asked = 0
let answered = 0
let connected = 0

function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('timeout')), timeout)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** Looks a name up. Each `Resolver` is new, because a resolver caches its answers. */
async function find(name: string): Promise<string> {
  if (plan.way === 'getaddrinfo') return (await dns.lookup(name)).address
  const [address] = await new dns.Resolver({ timeout, tries: 1 }).resolve4(name)
  return address!
}

async function reach(host: string): Promise<void> {
  const socket = connect({ host, port: plan.port })
  const outcome = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  await within(outcome).finally(() => socket.on('error', () => {}).destroy())
}

async function attempt(name: string): Promise<void> {
  let where = name
  try {
    const address = await within(find(name))
    answered++
    where = `${name}, ${address}`
    await reach(address)
    connected++
  } catch (error) {
    if (failures.length < MOST_FAILURES) failures.push(`${where}: ${outcomeOf(error)}`)
  }
}

async function work(): Promise<void> {
  while (asked < plan.count) await attempt(plan.name.replace('*', `${++asked}`))
}

await Promise.all(Array.from({ length: concurrency }, work))
say({ asked, answered, connected, failures } satisfies LookupReport)
