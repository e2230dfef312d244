/** The peers that are rules of the kernel alone. */
import type { Namespace } from '../../test/lab/namespace.js'
import { MIRROR } from '../../test/lab/topology.js'
import { allowed, counterOf, FAST_PORT, type Guard, type Peer, type Policy } from './peer.js'

/** No guard at all: everything leaves, and the kernel tracks no connections. */
export const nothing: Peer = {
  name: 'no guard',
  start: async () => ({ refused: async () => 0, stop: async () => {} }),
}

/** The least that a firewall can do. What it costs is the kernel's limit. */
const DROP = `table inet own {
  counter refused {}
  chain out {
    type filter hook output priority filter; policy accept;
    oif "lo" accept
    ct state established,related accept
    ip daddr ${MIRROR.v4} accept
    ip6 daddr ${MIRROR.v6} accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    counter name refused drop
  }
}
`

export const nftDrop: Peer = {
  name: 'nft drop',
  start: (web) => load(web, DROP),
}

/**
 * What a careful administrator writes: who may reach what is in sets, and names are put into them by dnsmasq
 * (`--nftset`, see the part `dns`).
 */
const sets = ({ block, prefixes }: Policy) => `table inet own {
  counter refused {}
  set mirrors4 { type uid . ipv4_addr . inet_service; elements = { ${entries(MIRROR.v4)} } }
  set mirrors6 { type uid . ipv6_addr . inet_service; elements = { ${entries(MIRROR.v6)} } }
  set names4 { type ipv4_addr; flags timeout; timeout 1h; }
  set names6 { type ipv6_addr; flags timeout; timeout 1h; }
  set resolvers { type ipv4_addr; elements = { ${MIRROR.v4} } }
  set many { type ipv4_addr; ${prefixes === 0 ? '' : `elements = { ${Array.from({ length: prefixes }, (_, i) => allowed(i)).join(', ')} }`} }
  chain out {
    type filter hook output priority filter; policy drop;
    oif "lo" accept
    ct state established,related accept
    meta skuid . ip daddr . tcp dport @mirrors4 accept
    meta skuid . ip6 daddr . tcp dport @mirrors6 accept
    meta skuid 0 tcp dport { 80, 443 } ip daddr @names4 accept
    meta skuid 0 tcp dport { 80, 443 } ip6 daddr @names6 accept
    meta l4proto { tcp, udp } th dport 53 ip daddr @resolvers accept
    ip daddr @many accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
    counter name refused ${block === 'drop' ? 'drop' : 'reject with icmpx admin-prohibited'}
  }
}
`

const entries = (mirror: string) => [80, FAST_PORT].map((port) => `0 . ${mirror} . ${port}`).join(', ')

export const nftSets: Peer = {
  name: 'nft sets',
  start: (web, policy) => load(web, sets(policy)),
}

async function load(web: Namespace, rules: string): Promise<Guard> {
  await web.run(['nft', '--file', '-'], { input: rules })
  return { refused: () => counterOf(web, 'own', 'refused'), stop: async () => {} }
}
