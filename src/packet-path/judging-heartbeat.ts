/**
 * Shows the kernel that the service judges DNS queries, by sending queries that are blocked. When names are
 * enforced and the service is dead, the kernel lets the queries of trusted users pass, for the sake of
 * updates; while the service judges, it must not (`judging` in core/ruleset/chains.ts). The queries ask the
 * host's resolvers for a name that is never allowed, so they get no further than the queue.
 */
import { createSocket, type Socket } from 'node:dgram'
import { NAMES_CANARY } from '../core/dns/query-policy.js'
import { formatAddress } from '../core/packet/address-text.js'
import { type Address, type Family, familyBits, type Prefix } from '../core/packet/ip.js'
import { type Policy, resolversOf } from '../core/policy/policy.js'
import { encodeQuery } from '../names/dns/encode-query.js'

const DNS_PORT = 53
const QUERY = encodeQuery({ name: NAMES_CANARY })
/** The maximum number of resolvers that are asked. They are several, since one may have no route. */
const MAX_RESOLVERS = 4
/**
 * The hosts that are asked when any resolver is allowed, before it is known where canaries can go: 192.0.2.53
 * (RFC 5737), 2001:db8::53 (RFC 3849).
 */
const DOCUMENTATION_HOSTS: Readonly<Record<Family, Address>> = {
  4: { family: 4, words: Uint32Array.of(0xc0000235, 0, 0, 0) },
  6: { family: 6, words: Uint32Array.of(0x20010db8, 0, 0, 0x53) },
}

/**
 * Returns one or two addresses of a prefix; of two, one is certainly not this host. For a wide prefix, it
 * is where the canary goes, since a route leads there.
 */
function hostsOf({ family, words, length }: Prefix, { moreCanaries = [] }: Policy): Address[] {
  const hostBits = familyBits(family) - length
  if (length < 8) return [moreCanaries.find((each) => each.family === family) ?? DOCUMENTATION_HOSTS[family]]
  const numbers = hostBits === 0 ? [0] : hostBits === 1 ? [0, 1] : [1, 2]
  return numbers.map((number) => {
    const host = words.slice()
    host[familyBits(family) / 32 - 1]! += number
    return { family, words: host }
  })
}

/** Sends the queries. */
export class JudgingHeartbeat {
  readonly #sockets = new Map<Family, Socket>()

  /** Sends one query to each resolver, when the policy enforces names. To be called each second. */
  beat(policy: Policy): void {
    if (policy.queryPolicy === undefined || policy.mode !== 'enforce') return
    const hosts = resolversOf(policy).flatMap((prefix) => hostsOf(prefix, policy))
    for (const host of hosts.slice(0, MAX_RESOLVERS)) this.#ask(host)
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  #ask({ family, words }: Address): void {
    const socket = this.#sockets.get(family) ?? this.#open(family)
    // An error is expected: the query is blocked.
    socket.send(QUERY, DNS_PORT, formatAddress(family, words), () => {})
  }

  #open(family: Family): Socket {
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6').unref()
    socket.on('error', () => {
      this.#sockets.delete(family)
      socket.close()
    })
    this.#sockets.set(family, socket)
    return socket
  }
}
