/** Counts the packets that came through a cable, at the receiver, so that no sender is trusted. */

import type { Namespace } from './namespace.js'

/** Packets that arrived, by protocol. `total` is the sum of the other four. */
export interface Arrivals {
  readonly tcp: number
  readonly udp: number
  readonly icmp: number
  readonly other: number
  readonly total: number
}

/**
 * Returns rules that count packets by device and not by source address, so that a forged address is counted
 * too. ARP is no packet of this table's family. Neighbour discovery and multicast reports (IGMP, MLD) are not
 * counted: kernels exchange them by themselves when a cable is made.
 */
const table = (device: string) => `
table inet arrivals {
  counter tcp_packets {}
  counter udp_packets {}
  counter icmp_packets {}
  counter other_packets {}
  chain arrive {
    type filter hook prerouting priority raw; policy accept;
    iifname != "${device}" return
    icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } return
    icmpv6 type { nd-router-solicit, nd-router-advert } return
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } return
    meta l4proto 2 return comment "IGMP"
    meta l4proto tcp counter name tcp_packets return
    meta l4proto udp counter name udp_packets return
    meta l4proto { icmp, ipv6-icmp } counter name icmp_packets return
    counter name other_packets
  }
}
`

/**
 * Counts, from now on, the IPv4 and IPv6 packets that reach `receiver` by `device`.
 * @returns a function that returns the counts so far
 */
export async function countArrivals(receiver: Namespace, device: string): Promise<() => Promise<Arrivals>> {
  await receiver.run(['nft', '-f', '-'], { input: table(device) })
  return async () => {
    const { stdout } = await receiver.run(['nft', '-j', 'list', 'counters', 'table', 'inet', 'arrivals'])
    return sum(JSON.parse(stdout) as CounterList)
  }
}

/** The part of the output of `nft -j list counters` that is used here. */
interface CounterList {
  readonly nftables: ReadonlyArray<{ readonly counter?: { readonly name: string; readonly packets: number } }>
}

function sum(list: CounterList): Arrivals {
  const packets = (name: string) =>
    list.nftables.find((item) => item.counter?.name === `${name}_packets`)!.counter!.packets
  const [tcp, udp, icmp, other] = [packets('tcp'), packets('udp'), packets('icmp'), packets('other')]
  return { tcp, udp, icmp, other, total: tcp + udp + icmp + other }
}
