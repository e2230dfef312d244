/** Checks policy routing by marks: while a packet is judged, its mark has other bits. */

import { attempt, type DoctorContext } from './context.js'
import { type Finding, Findings } from './finding.js'
import { type MarkRule, parseIpRules } from './proc.js'

const hex = (value: number) => `0x${(value >>> 0).toString(16)}`

export async function routing({ config }: DoctorContext): Promise<Finding[]> {
  const texts = await Promise.all([attempt(['ip', '-j', 'rule']), attempt(['ip', '-j', '-6', 'rule'])])
  const found = new Findings('routing')
  if (texts.every((text) => text === undefined))
    found.unknown('rules for marks', 'there is no `ip`: install iproute2')
  else
    clashes(
      found,
      texts.flatMap((text) => parseIpRules(text ?? '')),
      config.firewall.mark.mask,
    )
  return found.all
}

/** @param mask our bits */
export function clashes(found: Findings, rules: readonly MarkRule[], mask: number): void {
  const others = (~mask & 0xffffffff) >>> 0
  for (const rule of rules.filter((each) => (each.mask & mask) !== 0)) {
    const needsOurs = (Number(rule.mark) & rule.mask & mask) !== 0
    found.look(
      `rule ${rule.priority} compares bits of marks that are ours (${hex(rule.mask & mask)})`,
      `packets that are judged do not match it: ${needsOurs ? '' : `write fwmark ${rule.mark}/${hex(rule.mask & others)} there, or `}set firewall.mark.mask to unused bits`,
    )
  }
  if (found.all.length === 0) found.ok('no rule of `ip rule` compares our bits of marks')
}
