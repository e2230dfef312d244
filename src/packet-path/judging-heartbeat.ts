/**
 * Tells the kernel that questions are being read: it must not let any pass by then, as it does for the sake of updates when the
 * service is dead (`judging` in core/chains.ts). Where names are enforced the service asks its resolvers for a name that is
 * never allowed, again and again. The questions get no further than to their own queue.
 */
import { createSocket, type Socket } from 'node:dgram'
import { NAMES_CANARY } from '../core/dns/query-policy.js'
import { formatAddress } from '../core/packet/address-text.js'
import { type Address, type Family, familyBits, type Prefix } from '../core/packet/ip.js'
import { type Policy, resolversOf } from '../core/policy/policy.js'
import { encodeQuery } from '../names/dns/encode-query.js'

const DNS_PORT = 53
const QUESTION = encodeQuery({ name: NAMES_CANARY })
/** One that has no route is of no use: so several are asked. */
const ASKED_AT_MOST = 4
/** For those who allow any resolver: 192.0.2.53 (RFC 5737), 2001:db8::53 (RFC 3849). */
const ANYBODY: Readonly<Record<Family, Address>> = {
  4: { family: 4, words: Uint32Array.of(0xc0000235, 0, 0, 0) },
  6: { family: 6, words: Uint32Array.of(0x20010db8, 0, 0, 0x53) },
}

/** Some hosts of a prefix: of two, one is not this host itself. */
function hostsOf({ family, words, length }: Prefix): Address[] {
  const free = familyBits(family) - length
  if (length < 8) return [ANYBODY[family]]
  const numbers = free === 0 ? [0] : free === 1 ? [0, 1] : [1, 2]
  return numbers.map((number) => {
    const host = words.slice()
    host[familyBits(family) / 32 - 1]! += number
    return { family, words: host }
  })
}

export class JudgingHeartbeat {
  readonly #sockets = new Map<Family, Socket>()

  /** To be called each second. */
  beat(policy: Policy): void {
    if (policy.queryPolicy === undefined || policy.mode !== 'enforce') return
    for (const host of resolversOf(policy).flatMap(hostsOf).slice(0, ASKED_AT_MOST)) this.#ask(host)
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  #ask({ family, words }: Address): void {
    const socket = this.#sockets.get(family) ?? this.#open(family)
    // That it is refused is what is wanted.
    socket.send(QUESTION, DNS_PORT, formatAddress(family, words), () => {})
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
