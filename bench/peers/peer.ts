/** Defines what the benchmarks compare: programs and rules that decide what may leave a host. */
import { readFileSync } from 'node:fs'
import type { Namespace } from '../../test/lab/namespace.js'
import type { Program } from '../../test/lab/program.js'
import { MIRROR } from '../../test/lab/topology.js'
import type { Service } from '../../test/netns/service.js'

/** A port of the mirror at which connects.c listens, so that a connection costs little beside the guard. */
export const FAST_PORT = 81

/**
 * What every peer enforces: replies to clients leave, root reaches the mirror of test/lab/topology.ts at ports
 * 80 and 81, and nothing else leaves.
 */
export interface Policy {
  /** What becomes of a refused packet. A peer that cannot refuse drops it. */
  readonly block: 'reject' | 'drop'
  /** Further addresses that may be reached by anybody. Peers without a policy of their own do without them. */
  readonly prefixes: number
}

export const MIRRORS = [MIRROR.v4, MIRROR.v6] as const

/** A peer at work in a namespace. Its rules end with the namespace. */
export interface Guard {
  /** The process that decides; undefined when the kernel does. */
  readonly pid?: number
  /** checkvalve itself, for what only it can tell. */
  readonly service?: Service
  /** Returns how many packets it has refused, by a counter of the kernel. */
  refused(): Promise<number>
  stop(): Promise<void>
}

export interface Peer {
  readonly name: string
  /** Why it cannot run here; undefined when it can. */
  readonly absent?: string | undefined
  /** Starts it, and waits until it decides. */
  start(web: Namespace, policy: Policy): Promise<Guard>
}

/** Returns address number `i` of those that a policy allows: 10.0.0.0/8 is in no packet of the benchmarks but a worm's. */
export const allowed = (i: number) => `10.${(i * 2) >> 16}.${((i * 2) >> 8) & 255}.${(i * 2) & 255}`

/** Returns the packets of a counter of nft. */
export async function counterOf(web: Namespace, table: string, name: string): Promise<number> {
  const { stdout } = await web.run(['nft', 'list', 'counter', 'inet', table, name])
  return Number(/packets (\d+)/.exec(stdout)![1])
}

interface QueueState {
  readonly waiting: number
  /** Packets lost because the receive buffer of the program was full. */
  readonly lost: number
  /** The number of the last packet that was handed to the program. */
  readonly handed: number
}

/** Reads a queue of a namespace: nf_queue's seq_show() in net/netfilter/nfnetlink_queue.c. undefined: nobody reads it. */
export function queueOf(web: Namespace, number: number): QueueState | undefined {
  const lines = readFileSync(`/proc/${web.pid}/net/netfilter/nfnetlink_queue`, 'utf8').split('\n')
  const fields = lines.map((line) => line.trim().split(/\s+/).map(Number)).find(([queue]) => queue === number)
  return fields && { waiting: fields[2]!, lost: fields[6]!, handed: fields[7]! }
}

/** Ends a program. Some do not end by SIGTERM while their queue is full. */
export async function end(program: Program): Promise<void> {
  if (program.running) await program.stop(500)
}
