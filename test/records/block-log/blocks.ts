/** Blocks for tests of what is reported of them. */

import { IPPROTO_TCP } from '../../../src/core/packet/ip.js'
import { Packet } from '../../../src/core/packet/packet.js'
import { words } from '../../core/packets.js'

export interface Blocked {
  readonly to?: string
  readonly port?: number
  readonly from?: string
  readonly fromPort?: number
  readonly protocol?: number
}

/** A packet as the valve hands it on. */
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
