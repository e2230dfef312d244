/** The mirrors as an operator reads them, in 80 columns where their names allow it. */
import { type AddressStatus, isAddress, type MirrorStatus } from '../status/mirrors.js'

const INDENT = '    '
const ADDRESS_WIDTH = 40

/** @param now milliseconds since the epoch */
export function mirrorsText(mirrors: readonly MirrorStatus[], now: number): string {
  if (mirrors.length === 0)
    return 'no mirrors: no package manager names any, and mirrors.hosts is empty. Updates are blocked.\n'
  return mirrors.map((mirror) => [heading(mirror), ...details(mirror, now), ''].join('\n')).join('')
}

function heading({ host, ports, manager, service, found }: MirrorStatus): string {
  const by = [manager, service && `by ${service}`, found].filter((each) => each !== undefined)
  return `${host.includes(':') ? `[${host}]` : host}:${ports.join(',')}  ${by.join(', ')}`
}

function details({ host, addresses }: MirrorStatus, now: number): string[] {
  if (isAddress(host)) return []
  if (addresses.length === 0) return [`${INDENT}no address is known: nobody has looked it up, or it failed`]
  return addresses.map((each) => INDENT + addressText(each, now))
}

const addressText = ({ name, address, until }: AddressStatus, now: number) =>
  `${`${name === undefined ? '' : `${name} `}${address}`.padEnd(ADDRESS_WIDTH)} ${left(Date.parse(until) - now)}`

function left(ms: number): string {
  if (ms <= 0) return 'the last good answer'
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 120) return `for ${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `for ${minutes} min` : `for ${Math.round(minutes / 60)} h`
}
