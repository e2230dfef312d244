/** Describes the proof that blocking works, by family. */
import type { Proof } from '../packet-path/canary.js'
import type { Status } from '../telemetry/status.js'

const NAMES = { ipv4: 'IPv4', ipv6: 'IPv6' } as const

/** Returns the families with this result: `IPv4 and IPv6`; undefined when there is none. */
function familiesWith({ proofs }: Pick<Status, 'proofs'>, proof: Proof): string | undefined {
  const found = (['ipv4', 'ipv6'] as const).filter((family) => proofs?.[family] === proof)
  return found.length === 0 ? undefined : found.map((family) => NAMES[family]).join(' and ')
}

/** Says in which families there is nothing to prove; undefined when there is none. */
export function unprovableText(status: Pick<Status, 'proofs'>): string | undefined {
  const families = familiesWith(status, 'no-route')
  return families && `nothing to prove over ${families}: no route leads to an address that is not allowed`
}

/** Says which proof failed. */
export function unprovenText(status: Pick<Status, 'proofs'>): string {
  const families = familiesWith(status, 'no')
  return `the last canary connection${families === undefined ? '' : ` over ${families}`} was not blocked by this service`
}
