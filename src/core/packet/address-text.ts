import { type Family, familyBits, type PortRange, type Prefix, type Words } from './ip.js'

/** An address as people write it; IPv6 by RFC 5952. */
export function formatAddress(family: Family, words: Words): string {
  const [a, b, c, d] = words as unknown as [number, number, number, number]
  if (family === 4) return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`
  const groups = [a, b, c, d].flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)])
  const [start, length] = longestZeros(groups)
  if (length < 2) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

/** A prefix with its length, or the address alone where it is a single one. */
export function formatPrefix({ family, words, length }: Prefix): string {
  const text = formatAddress(family, words)
  return length === familyBits(family) ? text : `${text}/${length}`
}

/** `443`, or `8000-8080`. */
export const formatPortRange = ({ first, last }: PortRange): string =>
  first === last ? String(first) : `${first}-${last}`

/** Start and length of the first longest run of zero groups. */
function longestZeros(groups: readonly string[]): [number, number] {
  let best: [number, number] = [0, 0]
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === '0') length++
    if (length > best[1]) best = [start, length]
  }
  return best
}
