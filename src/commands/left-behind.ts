import { hasNetAdmin } from 'node-netfilter-queue'
import { presentTable } from '../kernel/nft.js'

export const RULES_STAND = 'its rules are in the kernel, which goes on by itself (fallback)'
export const RULES_ARE_GONE = 'none of its rules is in the kernel: whatever goes out passes'

/** What is in force while the service does not run; undefined where that may not be looked at. */
export async function leftBehind(): Promise<string | undefined> {
  if (!hasNetAdmin()) return undefined
  return presentTable().then(
    (isThere) => (isThere ? RULES_STAND : RULES_ARE_GONE),
    () => undefined,
  )
}
