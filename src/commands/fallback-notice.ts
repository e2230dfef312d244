import { hasNetAdmin } from 'node-netfilter-queue/system'
import { Absent } from '../control/client.js'
import { presentTable } from '../kernel/nftables/nft.js'

export const RULES_STAND = 'its rules are in the kernel, which goes on by itself (fallback)'
export const RULES_ARE_GONE = 'none of its rules is in the kernel: whatever goes out passes'

/**
 * What is in force while the service does not run; undefined where it does, or that may not be looked at.
 * @param error for which it has not answered
 */
export async function leftBehind(error: unknown): Promise<string | undefined> {
  if (!(error instanceof Absent) || !hasNetAdmin()) return undefined
  return presentTable().then(
    (isThere) => (isThere ? RULES_STAND : RULES_ARE_GONE),
    () => undefined,
  )
}
