import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from './ip.js'

/** Names of IP protocols in the log (IANA keywords, in lower case). Other protocols are logged by number. */
const NAMES = new Map([
  [IPPROTO_TCP, 'tcp'],
  [IPPROTO_UDP, 'udp'],
  [IPPROTO_ICMP, 'icmp'],
  [IPPROTO_ICMPV6, 'ipv6-icmp'],
])
const NUMBERS = new Map([...NAMES].map(([number, name]) => [name, number]))

/** Returns the name of a protocol in the log: `tcp`, or the number when it has no name here. */
export const transportOf = (protocol: number): string => NAMES.get(protocol) ?? String(protocol)

/**
 * Returns the number of a protocol by its name in the log; undefined when the text is neither a name nor a
 * number.
 */
export const protocolOf = (transport: string): number | undefined =>
  NUMBERS.get(transport) ??
  (/^\d{1,3}$/.test(transport) && Number(transport) < 256 ? Number(transport) : undefined)
