/** Derives the options of the kernel's rules from the configuration. */
import type { Config } from '../config/config.js'
import type { Pressure } from '../core/ruleset/conntrack-pressure.js'
import type { RulesetOptions } from '../core/ruleset/ruleset.js'

/** Seconds that a learned address outlives the service in the kernel. */
export const HOST_TIMEOUT = 24 * 3600

/** The kernel has forgotten a block after this time, however slow the host is: milliseconds. */
export const BLOCKS_MS = 5000

export function rulesetOptions(
  config: Config,
  { form, matchesCgroups }: Pick<RulesetOptions, 'form' | 'matchesCgroups'>,
  generation: number,
  pressure: Pressure = 'none',
): Omit<RulesetOptions, 'hasOpened'> {
  return {
    form,
    matchesCgroups,
    contain: config.containment.contain,
    queue: config.queue,
    mask: config.firewall.mark.mask,
    generation,
    block: config.block,
    fallback: config.fallback,
    hostTimeout: HOST_TIMEOUT,
    udpTimeout: config.sessions.udpTimeout,
    watchNames: config.dns.holdAnswers || config.dns.enforceNames,
    pressure,
  }
}
