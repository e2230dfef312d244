import { readFileSync } from 'node:fs'

/** The kernel's counters of one queue (net/netfilter/nfnetlink_queue.c, seq_show). */
export interface QueueStatus {
  /** Packets that wait for a verdict now. */
  readonly waiting: number
  /**
   * Packets dropped because the queue was full. With FAIL_OPEN they pass on instead and are not counted here.
   */
  readonly dropped: number
  /** Packets that could not be handed to the service because its receive buffer was full. */
  readonly userDropped: number
}

const PATH = '/proc/self/net/netfilter/nfnetlink_queue'

/**
 * Reads the counters of a queue. @returns undefined when the queue is not bound, or the file cannot be read
 */
export function readQueueStatus(queue: number): QueueStatus | undefined {
  try {
    return parseQueueStatus(readFileSync(PATH, 'utf8'), queue)
  } catch {
    return undefined
  }
}

/**
 * Parses the file. Columns: queue, peer port id, waiting, copy mode, copy range, dropped, user dropped, last
 * id, 1.
 */
export function parseQueueStatus(text: string, queue: number): QueueStatus | undefined {
  for (const line of text.split('\n')) {
    const [number, , waiting, , , dropped, userDropped] = line.trim().split(/\s+/).map(Number)
    if (number !== queue || userDropped === undefined) continue
    return { waiting: waiting!, dropped: dropped!, userDropped }
  }
  return undefined
}
