import { isIP } from 'node:net'
import { formatAddress } from '../../core/packet/address-text.js'
import { isLoopback } from '../../core/packet/ip.js'
import { parseAddress, parseHostName } from '../../text/parse-address.js'
import { type Parsed, parsed, unparsable } from '../../text/parsed.js'

/** The target of a URL. */
export interface UrlTarget {
  /** The whole scheme in lower case: `http`, `mirror+https`. */
  readonly scheme: string
  readonly host: string
  /** The port of the URL; undefined when it has none. */
  readonly port: number | undefined
}

/**
 * Parses scheme, host and port of `scheme://user:password@host:port/...`. A reason never repeats the text,
 * which may hold a password.
 */
export function parseUrl(text: string): Parsed<UrlTarget> {
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\\]*)/i.exec(text)
  if (!parts) return unparsable('is not a URL with a host')
  const authority = parts[2]!
  const variable = /\$\{?\w*/.exec(authority.slice(authority.lastIndexOf('@') + 1))
  if (variable)
    return unparsable(`has ${variable[0].replace('{', '')} in its host, and no file says what that is`)
  const host = parseAuthority(authority)
  return host.ok ? parsed({ scheme: parts[1]!.toLowerCase(), ...host.value }) : host
}

function parseAuthority(authority: string): Parsed<{ host: string; port: number | undefined }> {
  if (/[\0-\x20\x7f]/.test(authority)) return unparsable('is not a URL with a host')
  try {
    const { hostname, port } = new URL(`http://${authority}`)
    // URL drops the default port of the scheme, and 80 is not the default of every scheme here.
    const written = port || new URL(`https://${authority}`).port
    if (written === '0') return unparsable('has port 0')
    const host = parseHost(hostname.replace(/^\[|\]$/g, ''))
    if (!host.ok) return unparsable(`has a host that ${host.reason}`)
    return parsed({ host: host.value, port: written === '' ? undefined : Number(written) })
  } catch {
    return unparsable('is not a URL with a host')
  }
}

function parseHost(text: string): Parsed<string> {
  if (isIP(text) === 0) return parseHostName(text)
  const address = parseAddress(text)
  return address.ok ? parsed(formatAddress(address.value.family, address.value.words)) : address
}

/** Whether a host name or an address is of this host itself: RFC 6761 for names below localhost. */
export function isLoopbackHost(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost')) return true
  const address = parseAddress(host)
  return address.ok && isLoopback(address.value)
}
