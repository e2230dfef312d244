/** Defines the basic types of the core: addresses, prefixes, ports, connections. */

/** The IP version, as in the first four bits of the header. */
export type Family = 4 | 6
export const FAMILIES = [4, 6] as const

/** Returns the number of bits of an address. */
export const familyBits = (family: Family): 32 | 128 => (family === 4 ? 32 : 128)

/**
 * An address as four 32-bit words in host order, most significant first. IPv4 uses the first word; the others
 * are 0.
 */
export type Words = Uint32Array

/** A single address. */
export interface Address {
  readonly family: Family
  readonly words: Words
}

/** Whether an address is of this host alone: 127.0.0.0/8 (RFC 1122, 3.2.1.3) and ::1 (RFC 4291, 2.5.3). */
export function isLoopback({ family, words }: Address): boolean {
  if (family === 4) return words[0]! >>> 24 === 127
  return words[3] === 1 && words[2] === 0 && words[1] === 0 && words[0] === 0
}

/** Whether an IPv6 address is an IPv4 address in IPv6 form: ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
export const isMapped = (words: Words): boolean => words[0] === 0 && words[1] === 0 && words[2] === 0xffff

/** A network prefix: `length` is in bits, 0 to 32 or 0 to 128. Bits beyond the length are 0. */
export interface Prefix {
  readonly family: Family
  readonly words: Words
  readonly length: number
}

/** Ports from `first` to `last`, both included. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** Whether a port is in the range. */
export const isIn = ({ first, last }: PortRange, port: number): boolean => first <= port && port <= last

/** Whether a port is in one of the ranges. */
export function fitsPorts(ranges: readonly PortRange[], port: number): boolean {
  for (let i = 0; i < ranges.length; i++) if (isIn(ranges[i]!, port)) return true
  return false
}

/** Both ends of a TCP connection of this host. */
export interface Connection {
  readonly family: Family
  readonly local: Words
  readonly localPort: number
  readonly remote: Words
  readonly remotePort: number
}

/** Which end opened a TCP connection, as far as its socket shows. */
export type Initiator = 'this-host' | 'other-end' | 'unknown'

/** A destination of a rule: a prefix, a host name, or all names below a domain (`*.example.org`). */
export type Destination =
  | { readonly kind: 'prefix'; readonly prefix: Prefix }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'wildcard'; readonly domain: string }

/** IP protocol numbers (IANA protocol numbers; include/uapi/linux/in.h, in6.h). */
export const IPPROTO_ICMP = 1
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17
export const IPPROTO_ICMPV6 = 58

/**
 * The state of a TCP connection that a client opened, by the kernel's socket:
 * - `established`: the client is connected
 * - `transient`: the handshake is not done, or the connection is being closed
 * - `none`: there is no such connection, or this host opened it
 * - `unknown`: the kernel did not answer, or its answer is inconsistent
 */
export type SocketState = 'established' | 'transient' | 'none' | 'unknown'

/**
 * Asks the kernel for the TCP socket with these two ends.
 * @param device index of the device that the packet leaves by; with 0, sockets bound to a device are not
 *   found
 */
export type SocketLookUp = (
  family: Family,
  local: Words,
  localPort: number,
  remote: Words,
  remotePort: number,
  device: number,
) => SocketState
