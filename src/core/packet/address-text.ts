import { type Family, familyBits, type PortRange, type Prefix, type Words } from './ip.js'

/** Writes an address as text; IPv6 as RFC 5952 recommends. */
export function formatAddress(family: Family, words: Words): string {
  const [a, b, c, d] = words as unknown as [number, number, number, number]
  if (family === 4) return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`
  const groups = [a, b, c, d].flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)])
  const [start, length] = longestZeros(groups)
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

/** Writes a prefix as `address/length`, or as the address alone when the prefix is a single address. */
export function formatPrefix({ family, words, length }: Prefix): string {
  const text = formatAddress(family, words)
  return length === familyBits(family) ? text : `${text}/${length}`
}

/** Writes a port range as text: `443`, or `8000-8080`. */
export const formatPortRange = ({ first, last }: PortRange): string =>
  first === last ? String(first) : `${first}-${last}`

/** Returns start and length of the longest run of zero groups; on a tie the first. */
function longestZeros(groups: readonly string[]): [number, number] {
  let best: [number, number] = [0, 0]
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === '0') length++
    if (length > best[1]) best = [start, length]
  }
  return best
}
