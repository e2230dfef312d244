/** Formats mirrors for an operator, in 80 columns as far as their names allow. */

import { type AddressStatus, isAddress, type MirrorStatus } from '../telemetry/mirror-status.js'
import { terminalSafe } from '../text/terminal-safe.js'
import { WIDTH, wrap } from './terminal.js'

const INDENT = '    '
const ADDRESS_WIDTH = 40
/** Limits of a shortened list. */
const MIRRORS_SHOWN = 5
const ADDRESSES_SHOWN = 3

/**
 * @param now milliseconds since the epoch
 * @param cut mirrors that are not in the list; when given, the list is shortened
 */
export function mirrorsText(mirrors: readonly MirrorStatus[], now: number, cut?: number): string {
  if (mirrors.length === 0) return `${wrap(NONE, WIDTH).join('\n')}\n`
  const shown = cut === undefined ? mirrors : mirrors.slice(0, MIRRORS_SHOWN)
  const most = cut === undefined ? Number.POSITIVE_INFINITY : ADDRESSES_SHOWN
  const texts = shown.map((mirror) => [...heading(mirror), ...details(mirror, now, most), ''].join('\n'))
  const left = mirrors.length - shown.length + (cut ?? 0)
  return left === 0 ? texts.join('') : `${texts.join('')}and ${left} more mirrors: --all shows them\n`
}

const NONE =
  'no mirrors: no package manager names another host, and mirrors.hosts is empty. Updates are blocked.'

function heading({ host, ports, manager, service, found }: MirrorStatus): string[] {
  const by = [manager, service && `by ${service}`, found].filter((each) => each !== undefined).join(', ')
  const place = `${host.includes(':') ? `[${host}]` : host}:${ports.join(',')}`
  if (place.length + 2 + by.length <= WIDTH) return [terminalSafe(`${place}  ${by}`)]
  return [...wrap(place, WIDTH), ...wrap(by, WIDTH - INDENT.length).map((line) => INDENT + line)]
}

function details({ host, addresses, more = 0 }: MirrorStatus, now: number, most: number): string[] {
  if (isAddress(host)) return []
  if (addresses.length === 0)
    return [`${INDENT}no address is known: not looked up yet, or the look-up failed`]
  const left = Math.max(addresses.length - most, 0) + more
  return [
    ...addresses.slice(0, most).map((each) => INDENT + addressText(each, now)),
    ...(left > 0 ? [`${INDENT}and ${left} more`] : []),
  ]
}

const addressText = ({ name, address, until }: AddressStatus, now: number) =>
  `${`${name === undefined ? '' : `${name} `}${address}`.padEnd(ADDRESS_WIDTH)} ${validity(Date.parse(until) - now)}`

/**
 * Formats how long an address is still valid.
 * @param ms milliseconds; 0 or less: it has expired, and serves as the last good answer
 */
export function validity(ms: number): string {
  if (ms <= 0) return 'the last good answer'
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 120) return `for ${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `for ${minutes} min` : `for ${Math.round(minutes / 60)} h`
}
