/** Reads the routes of the main table, for an address that a route leads to. */
import { readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import type { Family, Prefix } from '../../core/packet/ip.js'

const FILES: Readonly<Record<Family, string>> = { 4: '/proc/net/route', 6: '/proc/net/ipv6_route' }
// include/uapi/linux/route.h: #define RTF_UP 0x0001, RTF_REJECT 0x0200; ipv6_route.h: RTF_LOCAL 0x80000000
const RTF_UP = 0x0001
const RTF_REJECT = 0x0200
const RTF_LOCAL = 0x80000000
/** A router has many routes; the first ones do. */
const ROUTES_AT_MOST = 64

/**
 * Lists prefixes that routes lead to, without default routes, those of this host itself, those to the link
 * only (fe80::/10), and multicast. None when the file cannot be read.
 */
export function routedPrefixes(family: Family, text = textOf(FILES[family])): Prefix[] {
  const lines = text.split('\n', ROUTES_AT_MOST * 4)
  const routes = lines.flatMap((line) => (family === 4 ? routeOf4(line) : routeOf6(line)) ?? [])
  return routes.filter(({ length }) => length > 0).slice(0, ROUTES_AT_MOST)
}

/** Columns of net/ipv4/fib_trie.c: Iface Destination Gateway Flags RefCnt Use Metric Mask ... */
function routeOf4(line: string): Prefix | undefined {
  const [, destination = '', , flags = '', , , , mask = ''] = line.split(/\s+/)
  if (!/^[0-9A-F]{8}$/i.test(destination) || !/^[0-9A-F]{8}$/i.test(mask) || !isUsable(flags))
    return undefined
  const word = networkWord(destination)
  if (word >>> 28 >= 0xe || word >>> 24 === 127) return undefined
  return { family: 4, words: Uint32Array.of(word, 0, 0, 0), length: bitsOf(networkWord(mask)) }
}

/**
 * Columns of net/ipv6/route.c: destination, its length, source, its length, gateway, metric, refcnt, use,
 * flags, device.
 */
function routeOf6(line: string): Prefix | undefined {
  const [destination = '', length = '', , , , , , , flags = ''] = line.trim().split(/\s+/)
  if (!/^[0-9a-f]{32}$/.test(destination) || !isUsable(flags)) return undefined
  const words = Uint32Array.from([0, 8, 16, 24], (at) => Number.parseInt(destination.slice(at, at + 8), 16))
  const [first] = words as unknown as [number]
  if (first >>> 24 === 0xff || first >>> 22 === 0xfe80 >>> 6) return undefined
  return { family: 6, words, length: Number.parseInt(length, 16) }
}

function isUsable(text: string): boolean {
  const flags = Number.parseInt(text, 16)
  return (flags & RTF_UP) !== 0 && (flags & (RTF_REJECT | RTF_LOCAL)) === 0
}

/** Reads a __be32 that the kernel has printed as a number of the host's own order. */
function networkWord(text: string): number {
  const number = Number.parseInt(text, 16)
  if (endianness() === 'BE') return number
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, number, true)
  return view.getUint32(0)
}

const bitsOf = (mask: number): number => Math.clz32(~mask)

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
