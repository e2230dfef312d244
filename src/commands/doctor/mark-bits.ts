import { isMapping } from '../../text/json.js'

/**
 * Computes which bits of a mark other programs' rules change: nftables rules as JSON (libnftables-json(5)),
 * and iptables rules.
 */

/** The mark that a rule sets. */
export type MarkKind = 'packet' | 'connection'

export interface MarkChange {
  readonly kind: MarkKind
  /** `ones`: bits that may change from 0 to 1. `zeros`: bits that may change from 1 to 0. */
  readonly ones: number
  readonly zeros: number
}

/** What is known of each bit of a value. A bit in none of the three sets may have any value. */
interface Bits {
  /** Bits that stay as they were in the mark. */
  readonly kept: number
  readonly one: number
  readonly zero: number
}

const ALL = 0xffffffff
const ANYTHING: Bits = { kept: 0, one: 0, zero: 0 }

type Json = Readonly<Record<string, unknown>>

/**
 * Reads a statement like `{ "mangle": { "key": { "meta": { "key": "mark" } }, "value": ... } }`. Returns
 * undefined for a statement that sets no mark.
 */
export function changeOfStatement(statement: unknown): MarkChange | undefined {
  const mangle = isMapping(statement) ? statement.mangle : undefined
  const kind = isMapping(mangle) ? kindOf(mangle.key) : undefined
  return kind && changeOf(kind, bitsOf((mangle as Json).value, kind))
}

const changeOf = (kind: MarkKind, { kept, one, zero }: Bits): MarkChange => ({
  kind,
  ones: (ALL & ~kept & ~zero) >>> 0,
  zeros: (ALL & ~kept & ~one) >>> 0,
})

function kindOf(key: unknown): MarkKind | undefined {
  if (!isMapping(key)) return undefined
  if (isMapping(key.meta) && key.meta.key === 'mark') return 'packet'
  return isMapping(key.ct) && key.ct.key === 'mark' ? 'connection' : undefined
}

function bitsOf(value: unknown, kind: MarkKind): Bits {
  if (typeof value === 'number') return { kept: 0, one: value >>> 0, zero: ~value >>> 0 }
  if (kindOf(value) === kind) return { kept: ALL, one: 0, zero: 0 }
  const [operator, operands] = isMapping(value) ? (Object.entries(value)[0] ?? []) : []
  if (!Array.isArray(operands) || typeof operands[1] !== 'number') return ANYTHING
  return combined(operator, bitsOf(operands[0], kind), operands[1])
}

function combined(operator: string | undefined, { kept, one, zero }: Bits, by: number): Bits {
  if (operator === '&') return { kept: kept & by, one: one & by, zero: zero | ~by }
  if (operator === '|') return { kept: kept & ~by, one: one | by, zero: zero & ~by }
  if (operator !== '^') return ANYTHING
  return { kept: kept & ~by, one: (one & ~by) | (zero & by), zero: (zero & ~by) | (one & by) }
}

/** Reads a rule of iptables-save, like `-A OUTPUT -j MARK --set-xmark 0x10/0xff` (iptables-extensions(8)). */
export function changeOfRule(rule: string): MarkChange | undefined {
  const [, target, options = ''] = /(?:^|\s)-j (MARK|CONNMARK)(?=\s|$)(.*)/.exec(rule) ?? []
  if (target === undefined) return undefined
  const set = /--set-x?mark (0x[\da-f]+|\d+)(?:\/(0x[\da-f]+|\d+))?/.exec(options)
  if (set)
    return changeOf(
      target === 'MARK' ? 'packet' : 'connection',
      setBits(Number(set[1]), Number(set[2] ?? ALL)),
    )
  const masks = ['nfmask', 'ctmask'].map((name) =>
    Number(new RegExp(`--${name} (0x[\\da-f]+)`).exec(options)?.[1] ?? ALL),
  )
  // The bits of one mark under its mask replace the bits of the other mark under the other mask.
  const bits = { ...ANYTHING, kept: ~(masks[0]! | masks[1]!) }
  return changeOf(options.includes('--restore-mark') ? 'packet' : 'connection', bits)
}

/** Clears the bits of the mask, then XORs the value (--set-xmark). */
const setBits = (value: number, mask: number): Bits => ({
  kept: ~(mask | value),
  one: value & mask,
  zero: mask & ~value,
})
