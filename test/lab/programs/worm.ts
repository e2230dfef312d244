/**
 * worm PLAN: acts as a worm that spreads. PLAN is JSON, see below. Connects and sends to every port of every
 * target, TCP and UDP, IPv4 and IPv6 at once, with a bounded number of open attempts, and prints a
 * `WormReport`.
 */

import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { call } from './call.js'
import { type Outcome, outcomeOf, say, since, textArgument } from './say.js'

export interface WormPlan {
  /** IPv4 and IPv6 addresses. */
  readonly targets: readonly string[]
  readonly tcpPorts: readonly number[]
  readonly udpPorts: readonly number[]
  /** The timeout of a TCP connection, in milliseconds. */
  readonly timeout: number
  /** The number of attempts of one kind that are open at a time. */
  readonly concurrency: number
}

export interface Spread {
  readonly attempts: number
  /** Connections made, or datagrams that the kernel accepted without an error. */
  readonly successes: number
  /** The count of each error: `{ "ECONNREFUSED": 506, "timeout": 2 }`. */
  readonly errors: Readonly<Record<string, number>>
}

export interface WormReport {
  readonly tcp4: Spread
  readonly tcp6: Spread
  readonly udp4: Spread
  readonly udp6: Spread
  readonly ms: number
}

type Attempt = (address: string, port: number) => Promise<Outcome>

async function spread(targets: string[], ports: readonly number[], attempt: Attempt): Promise<Spread> {
  const outcomes: Record<Outcome, number> = {}
  const pairs = ports.flatMap((port) => targets.map((target) => [target, port] as const)).values()
  // All workers take pairs from one iterator.
  const work = async () => {
    for (const [target, port] of pairs) {
      const outcome = await attempt(target, port)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: plan.concurrency }, work))
  const { ok: successes = 0, ...errors } = outcomes
  return { attempts: targets.length * ports.length, successes, errors }
}

const tcp: Attempt = (address, port) => call(address, port, plan.timeout)

async function udp(family: 'udp4' | 'udp6', targets: string[]): Promise<Spread> {
  const socket = createSocket(family).on('error', () => {})
  const send: Attempt = (address, port) =>
    new Promise((resolve) => {
      socket.send('worm', port, address, (error) => resolve(error ? outcomeOf(error) : 'ok'))
    })
  const result = await spread(targets, plan.udpPorts, send)
  socket.close()
  return result
}

const plan = JSON.parse(textArgument(0)) as WormPlan
const v4 = plan.targets.filter((target) => !isIPv6(target))
const v6 = plan.targets.filter((target) => isIPv6(target))
const start = performance.now()
const [tcp4, tcp6, udp4, udp6] = await Promise.all([
  spread(v4, plan.tcpPorts, tcp),
  spread(v6, plan.tcpPorts, tcp),
  udp('udp4', v4),
  udp('udp6', v6),
])
say({ tcp4, tcp6, udp4, udp6, ms: since(start) } satisfies WormReport)
