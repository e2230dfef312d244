/** Tells apart the rules of resolvers and time servers, whose packets are judged by what they carry. */
import { fitsPorts, type PortRange } from '../packet/ip.js'

/** The port of resolvers (RFC 1035, section 4.2). */
export const DNS_PORT = 53

/** What is asked of a rule here: fields of RuleSpec. */
interface Spec {
  readonly reason: string
  readonly protocol: string
  readonly ports: readonly PortRange[]
}

/**
 * Whether a rule is for queries to resolvers at their port. Other rules with that reason are for the host's
 * own resolver, which asks over TLS or at another port.
 */
export const isForQueries = ({ reason, ports }: Pick<Spec, 'reason' | 'ports'>): boolean =>
  reason === 'resolver' && (ports.length === 0 || fitsPorts(ports, DNS_PORT))

/** Whether a rule is for requests of NTP. Rules of time servers over TCP are for key establishment (NTS). */
export const asksForTime = ({ reason, protocol }: Pick<Spec, 'reason' | 'protocol'>): boolean =>
  reason === 'time' && protocol === 'udp'
