import { render, renderHosts } from '../core/ruleset/ruleset.js'
import { kernelAbilities } from '../kernel/nftables/kernel-abilities.js'
import { asStarted, knownPolicy } from '../policy/offline-policy.js'
import { rulesetOptions } from '../policy/ruleset-options.js'
import { type Command, configOrComplaint, type Invocation, note, say } from './command.js'

export const ruleset: Command = {
  name: 'ruleset',
  summary: 'print the firewall rules that run would load',
  details: `The rules have the addresses and runtime entries of an earlier run. Nothing is
looked up. Nothing is loaded but an empty table, to find out which form of queue
this kernel has.`,
  examples: ['checkvalve ruleset | nft --check -f -'],
  async run(given: Invocation): Promise<number> {
    const written = configOrComplaint(given)
    if (!written) return 1
    const now = Date.now()
    const config = asStarted(written, now)
    const abilities = await kernelAbilities(config.firewall.queue)
    const { policy, missing } = knownPolicy(config)
    if (missing.length > 0) note([`not looked up here: ${missing.join(', ')}`])
    const options = { ...rulesetOptions(config, abilities, 1), hasOpened: true }
    return say([render(policy, options, now).trimEnd(), ...renderHosts(policy, options, now)].join('\n'))
  },
}
