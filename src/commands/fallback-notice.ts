import { hasNetAdmin } from 'node-netfilter-queue/system'
import { Absent } from '../control/client.js'
import { presentTable } from '../kernel/nftables/nft.js'

export const RULES_STAND = 'its rules are loaded: the kernel judges alone (fallback)'
export const RULES_ARE_GONE = 'its rules are not loaded: all outgoing packets pass'

/**
 * Describes what is in force while the service does not run. Returns undefined when the service runs, or when
 * this user may not list the rules.
 * @param error why the service did not answer
 */
export async function leftBehind(error: unknown): Promise<string | undefined> {
  if (!(error instanceof Absent) || !hasNetAdmin()) return undefined
  return presentTable().then(
    (isThere) => (isThere ? RULES_STAND : RULES_ARE_GONE),
    () => undefined,
  )
}
