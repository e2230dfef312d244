import type { PortRange } from '../packet/ip.js'
import { ROOT } from '../policy/inherited-sockets.js'

/** Whether the packets that reach a rule have ports; `any`: some have. */
export type Ported = 'ported' | 'portless' | 'any'

/**
 * Writes the users of a rule as matches of nftables: a packet must fit one of them. Root's TCP and UDP
 * packets fit only from a port that the kernel chooses and that no service of root has, as in `mayBeInherited`.
 * @param users user ids @param protocols whether the packets that reach the rule have ports
 */
export function userMatches(
  users: readonly number[],
  { first, last }: PortRange,
  protocols: Ported,
): string[] {
  const of = (ids: readonly number[]) => (ids.length === 0 ? [] : [`meta skuid { ${ids.join(', ')} }`])
  if (!users.includes(ROOT) || protocols === 'portless') return of(users)
  const others = of(users.filter((uid) => uid !== ROOT))
  const root = (match: string) => `meta skuid ${ROOT} ${match}`
  const ephemeral = `th sport ${first}-${last} meta l4proto . th sport != @root_services`
  if (protocols === 'ported') return [root(ephemeral), ...others]
  return [root(`meta l4proto { tcp, udp } ${ephemeral}`), root('meta l4proto != { tcp, udp }'), ...others]
}
