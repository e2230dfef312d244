/** Reads the servers that files of this host name, also in forms that a configuration may not have. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { type Address, type Destination, familyBits, isLoopback, type Prefix } from '../core/packet/ip.js'
import { parseAddress, parseHostName } from '../text/parse-address.js'

/**
 * Parses an address, without its zone (`%eth0`) and in the family that its packets have: the kernel sends
 * those for IPv4 in IPv6 form (`::ffff:192.0.2.53`) as IPv4.
 */
export function serverAddress(text: string): Address | undefined {
  const plain = text.replace(/%.*$/s, '')
  const address = parseAddress(isIP(plain) === 6 ? ipaddr.process(plain).toString() : plain)
  return address.ok ? address.value : undefined
}

/** Whether an address is of this host itself: loopback, or 0.0.0.0 and ::, which Linux takes for it. */
export const isThisHost = (address: Address): boolean =>
  isLoopback(address) || address.words.every((word) => word === 0)

/** Returns an address as a prefix of its whole length. */
export const wholePrefix = ({ family, words }: Address): Prefix => ({
  family,
  words,
  length: familyBits(family),
})

/** Parses a server on another host: an address, or a name. */
export function otherServer(text: string): Destination | undefined {
  const address = serverAddress(text)
  if (address) return isThisHost(address) ? undefined : { kind: 'prefix', prefix: wholePrefix(address) }
  const name = parseHostName(text)
  if (!name.ok || name.value === 'localhost' || name.value.endsWith('.localhost')) return undefined
  return { kind: 'name', name: name.value }
}

/** A server as a file writes it, and its port. */
export interface WrittenServer {
  readonly host: string
  readonly port: number | undefined
}

/**
 * Splits `host:port`, `[2001:db8::1]:port`, `[2001:db8::1]` or a host alone; an address of IPv6 has no port.
 */
export function splitPort(text: string): WrittenServer {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  return { host: bracketed ?? plain ?? text, port: portOf(port) }
}

/** Parses a port from 1 to 65535. */
export function portOf(text: string | undefined): number | undefined {
  const port = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0
  return port >= 1 && port <= 65535 ? port : undefined
}
