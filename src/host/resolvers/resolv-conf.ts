/** Reads resolv.conf(5). */
import { formatAddress } from '../../core/packet/address-text.js'
import type { Prefix } from '../../core/packet/ip.js'
import { parseHostName } from '../../text/parse-address.js'
import { isThisHost, serverAddress, wholePrefix } from '../server-address.js'

/**
 * The addresses on which systemd-resolved answers; its own resolvers are in another file
 * (systemd-resolved(8)).
 */
const STUBS = new Set(['127.0.0.53', '127.0.0.54'])
/** resolv.conf(5): the default of `ndots`, and its limit. */
const NDOTS = { default: 1, max: 15 }

/** Reads the words of `nameserver` lines. */
const nameservers = (text: string): string[] =>
  [...text.matchAll(/^[ \t]*nameserver[ \t]+([^\s#;]+)/gm)].map(([, written]) => written!)

/**
 * Reads the addresses of `nameserver` lines, without their zones (`%eth0`); those of this host are left out.
 */
export const parseResolvConf = (text: string): Prefix[] =>
  nameservers(text).flatMap((written) => {
    const address = serverAddress(written)
    return address && !isThisHost(address) ? [wholePrefix(address)] : []
  })

/** Whether resolv.conf names systemd-resolved's own listener. */
export const usesStub = (text: string): boolean => nameservers(text).some(isStub)

function isStub(written: string): boolean {
  const address = serverAddress(written)
  return address !== undefined && STUBS.has(formatAddress(address.family, address.words))
}

/** Whether resolv.conf names this host, apart from systemd-resolved's own listener. */
export const leadsHere = (text: string): boolean =>
  nameservers(text).some((written) => {
    const address = serverAddress(written)
    return address !== undefined && !isStub(written) && isThisHost(address)
  })

/** Reads the domains that programs append to names: those of the last `search` or `domain` line. */
export function parseSearchDomains(text: string): string[] {
  const lines = [...text.matchAll(/^[ \t]*(?:search|domain)[ \t]+([^#;\n]*)/gm)]
  const written = lines.at(-1)?.[1]?.trim().split(/\s+/) ?? []
  return written.flatMap((domain) => {
    const name = parseHostName(domain.replace(/\.$/, ''))
    return name.ok ? [name.value] : []
  })
}

/** Reads `ndots`: programs append domains first to names with fewer dots. */
export function parseNdots(text: string): number {
  const options = [...text.matchAll(/^[ \t]*options[ \t]+([^#;\n]*)/gm)].map(([, words]) => words).join(' ')
  const written = [...options.matchAll(/(?:^|\s)ndots:(\d{1,3})(?!\S)/g)].at(-1)?.[1]
  return written === undefined ? NDOTS.default : Math.min(Number(written), NDOTS.max)
}
