/** Makes addresses from texts, for tests. */
import { formatAddress } from '../../src/core/packet/address-text.js'
import type { Address } from '../../src/core/packet/ip.js'
import { words } from '../core/packets.js'

export const host = (text: string): Address => ({ family: text.includes(':') ? 6 : 4, words: words(text) })
export const hosts = (...texts: readonly string[]): Address[] => texts.map(host)
export const textOf = ({ family, words }: Address): string => formatAddress(family, words)
/** Returns `count` consecutive addresses of a network for tests (RFC 2544). */
export const many = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, i) => `198.18.${(first + i) >> 8}.${(first + i) & 255}`)
