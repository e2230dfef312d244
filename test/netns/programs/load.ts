/**
 * load PLAN: calls all targets again and again, each by `workers` workers, until SIGTERM. PLAN is JSON, see
 * below. Prints {"under way": true} after 500 ms.
 * At the end it prints {"calls": {"tcp 198.51.100.2 80": {"ok": 12}}}.
 */
import { createSocket } from 'node:dgram'
import { call } from '../../lab/programs/call.js'
import { type Outcome, outcomeOf, say, textArgument } from '../../lab/programs/say.js'
import { PATIENCE_MS } from '../../lab/waiting.js'

export interface Target {
  /** With `udp` a call succeeds when its only datagram comes back. */
  readonly protocol: 'tcp' | 'udp'
  readonly host: string
  readonly port: number
}

export interface LoadPlan {
  readonly targets: readonly Target[]
  readonly workers: number
  /** The time between two calls of a worker, in milliseconds. */
  readonly pause: number
}

/** The number of calls by target (`tcp 198.51.100.2 80`) and outcome. */
export type Calls = Readonly<Record<string, Readonly<Record<Outcome, number>>>>

function exchange({ host, port }: Target): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const end = (outcome: Outcome) => {
      clearTimeout(timer)
      socket.close()
      resolve(outcome)
    }
    const timer = setTimeout(() => end('timeout'), PATIENCE_MS)
    socket.once('error', (error) => end(outcomeOf(error)))
    socket.once('message', () => end('ok'))
    socket.connect(port, host, () => socket.send('hello', (error) => error && end(outcomeOf(error))))
  })
}

const plan = JSON.parse(textArgument(0)) as LoadPlan
const calls: Record<string, Record<Outcome, number>> = {}
let isOver = false
process.on('SIGTERM', () => {
  isOver = true
})

async function work(target: Target): Promise<void> {
  const name = `${target.protocol} ${target.host} ${target.port}`
  const outcomes = calls[name] ?? {}
  calls[name] = outcomes
  while (!isOver) {
    const outcome = await (target.protocol === 'tcp'
      ? call(target.host, target.port, PATIENCE_MS)
      : exchange(target))
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    await new Promise((resolve) => setTimeout(resolve, plan.pause))
  }
}

const all = plan.targets.flatMap((target) => Array.from({ length: plan.workers }, () => work(target)))
setTimeout(() => say({ 'under way': true }), 500)
await Promise.all(all)
say({ calls })
