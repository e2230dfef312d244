/**
 * Tells the kernel that questions are being read: it must not let any pass by then, as it does for the sake of updates when the
 * service is dead (`judging` in core/chains.ts). Where names are enforced the service asks a resolver for a name that is
 * never allowed, again and again. The question gets no further than to its own queue.
 */
import { createSocket, type Socket } from 'node:dgram'
import { encode } from 'dns-packet'
import { NAMES_CANARY } from './core/asking.js'
import { type Policy, resolversOf } from './core/policy.js'
import { addressText } from './core/text.js'
import type { Host } from './core/types.js'

const DNS_PORT = 53
const QUESTION = encode({ type: 'query', questions: [{ type: 'A', name: NAMES_CANARY }] })

export class Heartbeat {
  #socket: Socket | undefined
  #family: 4 | 6 | undefined

  /** To be called each second. */
  beat(policy: Policy): void {
    const resolver = policy.asking && policy.mode === 'enforce' ? resolversOf(policy)[0] : undefined
    if (resolver === undefined) this.close()
    else this.#ask(resolver)
  }

  close(): void {
    this.#socket?.close()
    this.#socket = undefined
  }

  #ask({ family, words }: Host): void {
    // That it is refused is what is wanted.
    this.#socketFor(family).send(QUESTION, DNS_PORT, addressText(family, words), () => {})
  }

  #socketFor(family: 4 | 6): Socket {
    if (this.#socket !== undefined && this.#family === family) return this.#socket
    this.close()
    this.#family = family
    this.#socket = createSocket(family === 4 ? 'udp4' : 'udp6').unref()
    this.#socket.on('error', () => this.close())
    return this.#socket
  }
}
