import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from './ip.js'

/** Names of protocols in the log, after IANA's; others are numbers. */
const NAMES = new Map([
  [IPPROTO_TCP, 'tcp'],
  [IPPROTO_UDP, 'udp'],
  [IPPROTO_ICMP, 'icmp'],
  [IPPROTO_ICMPV6, 'ipv6-icmp'],
])
const NUMBERS = new Map([...NAMES].map(([number, name]) => [name, number]))

export const transportOf = (protocol: number): string => NAMES.get(protocol) ?? String(protocol)

/** The other way round; undefined where it is none. */
export const protocolOf = (transport: string): number | undefined =>
  NUMBERS.get(transport) ??
  (/^\d{1,3}$/.test(transport) && Number(transport) < 256 ? Number(transport) : undefined)
