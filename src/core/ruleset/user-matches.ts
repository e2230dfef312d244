/** Whether packets are of a protocol that has ports; `any`: some are. */

import type { PortRange } from '../packet/ip.js'
import { ROOT } from '../policy/inherited-sockets.js'

export type Ported = 'ported' | 'portless' | 'any'

/** The same as matches of nftables, one of which must fit. @param protocols what of those that come here has ports */
export function userMatches(
  users: readonly number[],
  { first, last }: PortRange,
  protocols: Ported,
): string[] {
  const of = (ids: readonly number[]) => (ids.length === 0 ? [] : [`meta skuid { ${ids.join(', ')} }`])
  if (!users.includes(ROOT) || protocols === 'portless') return of(users)
  const others = of(users.filter((uid) => uid !== ROOT))
  const root = (more: string) => `meta skuid ${ROOT} ${more}`
  const chosen = `th sport ${first}-${last}`
  if (protocols === 'ported') return [root(chosen), ...others]
  return [root(`meta l4proto { tcp, udp } ${chosen}`), root('meta l4proto != { tcp, udp }'), ...others]
}
