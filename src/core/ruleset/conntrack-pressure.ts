/**
 * How near connection tracking is to its limit (nf_conntrack_max). Above the limit the kernel refuses new
 * connections, both of clients and of updates, and any user can reach it over the loopback device.
 *
 * - `none`: below the thresholds
 * - `high`: loopback is no longer tracked, so that no user of this host can fill the table
 * - `full`: new clients are not tracked either, but still served
 */
export type Pressure = 'none' | 'high' | 'full'

/** Thresholds, as parts of the limit. */
const HIGH = 0.75
const FULL = 0.95
/** The pressure ends only below this part of the limit, so that it does not change with each check. */
const RELIEVED = 0.5

/**
 * Returns the current pressure.
 * @param entries tracked connections @param limit nf_conntrack_max @param before the last result
 */
export function pressureOf(entries: number, limit: number, before: Pressure): Pressure {
  // 0 means no limit (net/netfilter/nf_conntrack_core.c).
  const used = limit > 0 ? entries / limit : 0
  if (used >= FULL) return 'full'
  if (used < RELIEVED) return 'none'
  return used >= HIGH && before === 'none' ? 'high' : before
}
