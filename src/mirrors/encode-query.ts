/** What stands in the place of a real packet where one is only talked about. */
import { encode, type Packet as Message, RECURSION_DESIRED, streamEncode } from 'dns-packet'
import type { Inbound } from './core/answers.js'
import { noServices } from './kernel/services.js'

/** A host to which nobody has come in. */
export const nobody = (): Inbound => ({
  sessions: { silence: () => Number.POSITIVE_INFINITY, seen: () => {}, remove: () => false },
  opened: { silence: () => Number.POSITIVE_INFINITY, seen: () => {}, size: 0 },
  services: noServices(),
  callbacks: { allow: () => false, seen: () => {} },
  lookUp: () => 'none',
  listens: () => false,
  now: 0,
})

/** The question for a name; in a stream behind its length (RFC 1035, section 4.2.2). @throws Error where there is no such question */
export function questionFor(name: string, isStream: boolean): Uint8Array {
  const message: Message = { type: 'query', flags: RECURSION_DESIRED, questions: [{ type: 'A', name }] }
  return isStream ? streamEncode(message) : encode(message)
}
