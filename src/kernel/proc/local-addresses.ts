import { networkInterfaces } from 'node:os'
import { PrefixSet } from '../../core/packet/prefix-set.js'
import { parsePrefix } from '../../text/parse-address.js'

/** The whole prefix is this host, though its device has only one address (RFC 1122, 3.2.1.3). */
const LOOPBACK = '127.0.0.0/8'

/** Lists the addresses of this host's devices, and the whole loopback prefix. */
export const localAddresses = (): string[] => [
  ...Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? []),
  LOOPBACK,
]

export const setOfAddresses = (addresses: readonly string[]): PrefixSet =>
  PrefixSet.of(
    addresses.flatMap((address) => {
      const prefix = parsePrefix(address)
      return prefix.ok ? [prefix.value] : []
    }),
  )
