/**
 * Parses and formats addresses, prefixes and host names. The parsers are strict: a text with two meanings is
 * refused, with a reason that says what to write instead.
 */
import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import ipaddr from 'ipaddr.js'
import { formatAddress, formatPrefix } from '../core/packet/address-text.js'
import {
  type Address,
  type Destination,
  type Family,
  familyBits,
  isMapped,
  type Prefix,
  type Words,
} from '../core/packet/ip.js'
import { type Parsed, parsed, unparsable } from './parsed.js'

/**
 * Parses one address: four decimal parts, or IPv6 (RFC 4291). Refuses a zone (`%eth0`), and IPv4 inside IPv6
 * (`::ffff:192.0.2.1`): the kernel shows such traffic as IPv4, so a rule with that form would never match.
 */
export function parseAddress(text: string): Parsed<Address> {
  if (text.includes('%'))
    return unparsable('has an interface (%...), which has no meaning here: leave it out')
  const family = isIP(text)
  if (family === 0) return unparsable('is not an IPv4 or IPv6 address')
  const words = wordsOf(ipaddr.parse(text).toByteArray())
  if (family === 6 && isMapped(words)) {
    return unparsable(
      `is an IPv4 address in IPv6 form: write ${formatAddress(4, Uint32Array.of(words[3]!, 0, 0, 0))}`,
    )
  }
  return parsed({ family: family as Family, words })
}

/**
 * Parses an address, or an address with a prefix length (RFC 4632). An address alone is a prefix of its whole
 * length. Bits behind the length must be 0.
 */
export function parsePrefix(text: string): Parsed<Prefix> {
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (!address.ok) return address
  const { family, words } = address.value
  const bits = familyBits(family)
  if (slash < 0) return parsed({ family, words, length: bits })
  const written = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(written) || Number(written) > bits) {
    return unparsable(`has an impossible prefix length: IPv${family} has 0 to ${bits}`)
  }
  return withoutHostBits({ family, words, length: Number(written) }, text.slice(0, slash))
}

function withoutHostBits(prefix: Prefix, address: string): Parsed<Prefix> {
  const words = prefix.words.map((word, index) => (word & wordMask(prefix.length - index * 32)) >>> 0)
  if (words.every((word, index) => word === prefix.words[index])) return parsed(prefix)
  const meant = formatPrefix({ ...prefix, words })
  return unparsable(
    `has bits behind the prefix length: write ${meant} for the network, or ${address} for one address`,
  )
}

/** Returns the mask for the first `bits` bits of a 32-bit word: the whole word above 32, 0 below 1. */
function wordMask(bits: number): number {
  if (bits >= 32) return 0xffffffff
  return bits <= 0 ? 0 : -1 << (32 - bits)
}

/**
 * Parses a host name (RFC 1123). The result is in lower case and without the dot at its end. Underscores are
 * taken, since resolvers and programs take them; but one at the beginning of a label is no host (RFC 2782).
 * The last label must not be a number, so that a mistyped address is not taken for a name.
 */
export function parseHostName(text: string): Parsed<string> {
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase()
  if (name === '') return unparsable('is empty')
  const hint = hostHint(text)
  if (hint !== undefined) return unparsable(hint)
  if (name.length > 253) return unparsable('is too long for a host name: 253 characters at most')
  const labels = name.split('.')
  if (!labels.every((label) => /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))) {
    return unparsable(
      'is not a host name: letters, digits, hyphens and underscores, in labels of 1 to 63 between dots',
    )
  }
  if (/^\d+$/.test(labels.at(-1)!))
    return unparsable('is neither a host name nor an IPv4 address (four numbers from 0 to 255)')
  return parsed(name)
}

/** Returns advice for common mistakes: a URL, a port, a space, or letters outside ASCII. */
function hostHint(text: string): string | undefined {
  const url = /^[a-z][a-z0-9+.-]*:\/\/([^/:@]+)/i.exec(text)
  if (url) return `is a URL: write only the host, ${url[1]}`
  if (/^[^:/[\]]+:\d+$/.test(text)) return 'has a port: ports are written under "ports"'
  if (/\s/.test(text)) return 'has a space in it: one host for each entry of the list'
  if (!/[^\0-\x7f]/.test(text)) return undefined
  const ascii = domainToASCII(text)
  return ascii === '' ? 'is not a host name' : `is written in its ASCII form: ${ascii}`
}

/**
 * Parses `*.example.org` to its domain. The star is the whole first label, and the domain is no top-level
 * domain.
 */
function parseWildcard(text: string): Parsed<string> {
  if (text === '*')
    return unparsable(
      'would allow everything: name the hosts, or a domain like *.example.org; for every address write 0.0.0.0/0 and "::/0"',
    )
  if (!text.startsWith('*.') || text.includes('*', 1)) {
    return unparsable('has its star in the wrong place: only a whole first label, like *.example.org')
  }
  const domain = parseHostName(text.slice(2))
  if (!domain.ok) return domain
  return domain.value.includes('.')
    ? domain
    : unparsable(`covers a whole top-level domain: name one below it`)
}

/** Parses a destination: an address, a prefix, a host name, or a wildcard. */
export function parseDestination(text: string): Parsed<Destination> {
  if (text.includes('*')) {
    const domain = parseWildcard(text)
    return domain.ok ? parsed({ kind: 'wildcard', domain: domain.value }) : domain
  }
  if (looksLikeAddress(text)) {
    const prefix = parsePrefix(text)
    return prefix.ok ? parsed({ kind: 'prefix', prefix: prefix.value }) : prefix
  }
  const name = parseHostName(text)
  return name.ok ? parsed({ kind: 'name', name: name.value }) : name
}

function looksLikeAddress(text: string): boolean {
  const address = text.split('/')[0]!
  return /^[\d.]+$/.test(address) || /^[0-9a-f]*:[0-9a-f]*:[0-9a-f:.%a-z]*$/i.test(address)
}

/** Formats a destination as text that `parseDestination` reads. */
export function formatDestination(destination: Destination): string {
  if (destination.kind === 'prefix') return formatPrefix(destination.prefix)
  return destination.kind === 'name' ? destination.name : `*.${destination.domain}`
}

/** Converts bytes in network order to 32-bit words. */
function wordsOf(bytes: readonly number[]): Words {
  const words = new Uint32Array(4)
  for (const [index, byte] of bytes.entries()) words[index >> 2]! |= byte << (24 - 8 * (index & 3))
  return words
}
