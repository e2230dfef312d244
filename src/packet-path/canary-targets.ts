/** Chooses where the canary goes: for each family that has a route, an address that no rule allows. */
import type { Config, Endpoint } from '../config/config.js'
import { formatAddress } from '../core/packet/address-text.js'
import {
  type Address,
  FAMILIES,
  type Family,
  familyBits,
  fitsPorts,
  type Prefix,
  type Words,
} from '../core/packet/ip.js'
import type { Policy } from '../core/policy/policy.js'
import type { Rule } from '../core/policy/rule.js'
import { sourceFor } from '../kernel/proc/route-source.js'
import { routedPrefixes } from '../kernel/proc/routes.js'

/** The discard service (RFC 863): nothing needs it. */
const DISCARD = 9
/** Addresses for documentation (RFC 5737, RFC 3849): they do not exist. */
const DOCUMENTATION: Readonly<Record<Family, Endpoint>> = {
  4: endpoint({ family: 4, words: Uint32Array.of(0xc0000201, 0, 0, 0) }),
  6: endpoint({ family: 6, words: Uint32Array.of(0x20010db8, 0xffffffff, 0, DISCARD) }),
}
/** Addresses that are tried at the end of a prefix, and in all. */
const HOSTS_AT_MOST = 4
const TRIES_AT_MOST = 32

/** Finds out about routes; the functions are arguments for the sake of tests. */
export interface Routes {
  readonly sourceFor: typeof sourceFor
  readonly routedPrefixes: (family: Family) => readonly Prefix[]
}

/** The target of each family; undefined where no route leads to an address that is not allowed. */
export type CanaryTargets = Readonly<Record<Family, Endpoint | undefined>>

/**
 * Chooses the targets. In its family, `canary.target` comes first, in the other a documentation address.
 * Where no route leads there, as on a host that has routes to its peers only, an address that a route
 * leads to takes its place. Nothing is sent.
 */
export async function canaryTargets(
  { canary }: Pick<Config, 'canary'>,
  { rules }: Pick<Policy, 'rules'>,
  routes: Routes = { sourceFor, routedPrefixes },
): Promise<CanaryTargets> {
  const [four, six] = await Promise.all(
    FAMILIES.map(async (family) => {
      const wanted = canary.target.family === family ? canary.target : DOCUMENTATION[family]
      return (await isRemote(wanted, routes)) ? wanted : linkTarget(family, rules, routes)
    }),
  )
  return { 4: four, 6: six }
}

async function linkTarget(
  family: Family,
  rules: readonly Rule[],
  routes: Routes,
): Promise<Endpoint | undefined> {
  const candidates = routes.routedPrefixes(family).flatMap(lastHosts)
  let tries = TRIES_AT_MOST
  for (const address of candidates) {
    if (mayBeAllowed(address, rules)) continue
    if (tries-- === 0) return undefined
    if (await isRemote(address, routes)) return endpoint(address)
  }
  return undefined
}

/** Whether a route leads to an address that is not this host's. */
async function isRemote(address: Address, routes: Routes): Promise<boolean> {
  const source = await routes.sourceFor(address)
  return !(source instanceof Error) && source.some((word, index) => word !== address.words[index])
}

/** Whether some user may reach the port at this address: nobody must miss it. */
const mayBeAllowed = ({ family, words }: Address, rules: readonly Rule[]): boolean =>
  rules.some(
    ({ spec: { protocol, ports }, fixed, addresses }) =>
      (protocol === 'tcp' || protocol === 'any') &&
      (ports.length === 0 || fitsPorts(ports, DISCARD)) &&
      (fixed.has(family, words) || addresses.has(family, words)),
  )

/** Returns the last addresses of a prefix, where hosts are rare, without the broadcast address. */
function lastHosts({ family, words, length }: Prefix): Address[] {
  const hostBits = familyBits(family) - length
  const last = familyBits(family) / 32 - 1
  const plus = (start: Words, number: number): Address => {
    const host = start.slice()
    host[last]! += number
    return { family, words: host }
  }
  if (hostBits < 2) return [0, 1].slice(0, hostBits + 1).map((number) => plus(words, number))
  const end = words.map((word, index) => (index > last ? 0 : word | hostMask(length - 32 * index)))
  const count = Math.min(HOSTS_AT_MOST, 2 ** hostBits - 2)
  return Array.from({ length: count }, (_, index) => plus(end, -1 - index))
}

/** The bits of a word behind its first `bits`. */
const hostMask = (bits: number): number => (bits >= 32 ? 0 : bits <= 0 ? 0xffffffff : 0xffffffff >>> bits)

function endpoint({ family, words }: Address): Endpoint {
  return { host: formatAddress(family, words), family, words, port: DISCARD }
}
