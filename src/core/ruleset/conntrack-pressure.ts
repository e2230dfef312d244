/**
 * How near connection tracking is to its limit (nf_conntrack_max). Behind it the kernel refuses new connections,
 * clients' and updates' alike, and any user can bring it there over the loopback device.
 *
 * - `none`: there is room
 * - `high`: loopback is not tracked any more, so that nobody on this host can fill the rest
 * - `full`: new clients are not tracked either, but served all the same
 */
export type Pressure = 'none' | 'high' | 'full'

const HIGH = 0.75
const FULL = 0.95
/** Only when there is that much room again does the pressure end: it shall not come and go with each look. */
const RELIEVED = 0.5

/** @param before what it was at the last look */
export function pressureOf(entries: number, limit: number, before: Pressure): Pressure {
  // A limit of 0 is none (net/netfilter/nf_conntrack_core.c).
  const share = limit > 0 ? entries / limit : 0
  if (share >= FULL) return 'full'
  if (share < RELIEVED) return 'none'
  return share >= HIGH && before === 'none' ? 'high' : before
}
