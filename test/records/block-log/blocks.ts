/** Makes blocked packets, and groups of blocks, for tests of the block log. */

import { IPPROTO_TCP } from '../../../src/core/packet/ip.js'
import { Packet } from '../../../src/core/packet/packet.js'
import { NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import type { BlockGroup } from '../../../src/core/record/block-summary.js'
import { words } from '../../core/packets.js'

export interface Blocked {
  readonly to?: string
  readonly port?: number
  readonly from?: string
  readonly fromPort?: number
  readonly protocol?: number
}

/** Makes a packet as the valve passes it to the log. */
export function packet(given: Blocked = {}): Packet {
  const { to = '198.51.100.2', port = 443, from = '192.0.2.1', fromPort = 40000 } = given
  const made = new Packet()
  made.family = to.includes(':') ? 6 : 4
  made.protocol = given.protocol ?? IPPROTO_TCP
  made.source.set(words(from))
  made.sourcePort = fromPort
  made.destination.set(words(to))
  made.destinationPort = port
  return made
}

/**
 * Makes a group as the aggregator passes it to the writer: TCP over IPv4 by uid 33, without other details.
 */
export function kindOf(given: Partial<BlockGroup> = {}): BlockGroup {
  return {
    uid: 33,
    place: 2,
    family: 4,
    protocol: IPPROTO_TCP,
    source: words('192.0.2.1'),
    sourcePort: 40000,
    destination: words('198.51.100.2'),
    destinationPort: 443,
    reasonIndex: NOT_ALLOWLISTED.reasonIndex,
    rule: undefined,
    names: { question: undefined, domain: undefined },
    who: { attribution: 'found' },
    ...given,
  }
}
