/** Finds out by trying what this kernel and this nft can do. */
import { type QueueForm, type RulesetOptions, TABLE } from '../../core/ruleset/ruleset.js'
import { accepts } from './nft.js'

/** What the ruleset depends on. */
export type KernelAbilities = Pick<RulesetOptions, 'form' | 'matchesCgroups'>

/**
 * Tries without changing anything. @param wanted the form of the queue rules @throws CommandError (rejects)
 */
export const kernelAbilities = async (wanted: 'auto' | QueueForm): Promise<KernelAbilities> => ({
  form: await chooseForm(wanted),
  matchesCgroups: await matchesCgroups(),
})

/**
 * Chooses the form of the queue rules that this kernel takes: nftables' own `queue` statement, or xtables
 * when it is missing. It tries, without changing anything, in a chain without a hook: a hook that is removed
 * again drops every packet that waits in a queue.
 */
export async function chooseForm(wanted: 'auto' | QueueForm): Promise<QueueForm> {
  if (wanted !== 'auto') return wanted
  const probe = `table ${TABLE}_probe {
    chain probe { meta mark 1 queue flags bypass to 0; }
  }`
  return (await accepts(probe)) ? 'native' : 'xtables'
}

/** Whether the cgroup of a socket can be compared (`socket cgroupv2`), so that a unit can be quarantined. */
const matchesCgroups = (): Promise<boolean> =>
  accepts(`table ${TABLE}_probe {
    set units { type cgroupsv2; flags timeout; }
    chain probe { socket cgroupv2 level 2 @units drop; }
  }`)
