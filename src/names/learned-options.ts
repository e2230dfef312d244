/** The options of LearnedAddresses. */
import type { Config } from '../config/config.js'
import type { UsedAddresses } from '../core/policy/used-addresses.js'
import type { Firewall } from '../kernel/nftables/firewall.js'
import type { ServiceLog } from '../system/service-log.js'
import type { SearchList } from './dns/search-list.js'

/** The settings that a reload may change. */
export interface LearnedSettings {
  /** Whether allowed names are looked up before a program asks for them. */
  readonly resolve: boolean
  /** Seconds that an address outlives its TTL. */
  readonly grace: number
  /** How programs complete short names. Default: not at all. */
  readonly search?: SearchList
}

export interface LearnedOptions {
  readonly directory: string
  readonly firewall: Pick<Firewall, 'changeHosts'>
  /** Who used which addresses. */
  readonly used: UsedAddresses
  readonly log: Pick<ServiceLog, 'warn' | 'error'>
  /** Whether the service does not keep up, so that the kernel's fallback may soon judge packets. */
  readonly isBusy: () => boolean
  /** Called when the service has looked up an allowed name. */
  readonly onLookedUp: () => void
  /** Called when such a look-up has failed. */
  readonly onLookUpFailed: () => void
  /**
   * Called when SRV targets have changed: the policy must be built again. Settles when packets are judged by
   * it.
   */
  readonly onTargets: () => Promise<void>
  /** Timeout of an address in the kernel's sets: seconds. */
  readonly hostTimeout: number
  /** User id of the service's own look-ups. */
  readonly ownUid?: number
}

/**
 * Returns how names are learned. Where enforced names may have no search domain, short ones are not completed.
 * @param host what the host's own files say
 */
export function learnedSettings(
  { dns }: Pick<Config, 'dns'>,
  host: { readonly searchDomains: readonly string[]; readonly ndots: number },
): LearnedSettings {
  const isCompleted = dns.searchDomains || !dns.enforceNames
  return { ...dns, search: { domains: isCompleted ? host.searchDomains : [], ndots: host.ndots } }
}
