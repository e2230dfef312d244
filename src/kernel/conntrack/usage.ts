import { readFileSync } from 'node:fs'

export interface ConntrackUsage {
  /** Connections that are tracked in this network namespace now. */
  readonly entries: number
  /** The maximum; 0 is no limit. */
  readonly limit: number
}

/** Reads how full connection tracking is. Returns undefined when the kernel has not loaded it. */
export function readConntrackUsage(): ConntrackUsage | undefined {
  try {
    return { entries: read('nf_conntrack_count'), limit: read('nf_conntrack_max') }
  } catch {
    return undefined
  }
}

const read = (name: string) => Number(readFileSync(`/proc/sys/net/netfilter/${name}`, 'utf8'))
