/** Makes session tables and keys for the tests of the session table. */

import { type Family, IPPROTO_TCP, IPPROTO_UDP, type Words } from '../../../src/core/packet/ip.js'
import { type SessionProtocol, SessionTable, SOURCES } from '../../../src/core/session/session-table.js'
import { words } from '../packets.js'

export const SEED = Uint32Array.of(0x243f6a88, 0x85a308d3)
export const LOCAL = words('192.0.2.1')

export function table(capacity: number, tcpTimeout = 1000, udpTimeout = 100): SessionTable {
  return new SessionTable({ capacity, tcpTimeout, udpTimeout, seed: SEED })
}

export type Key = readonly [Family, SessionProtocol, Words, number, Words, number]

/** Returns whether the table knows a session. */
export function has(sessions: SessionTable, ...session: readonly [...Key, now: number]): boolean {
  return sessions.silence(...session) < Number.POSITIVE_INFINITY
}

/** Returns the number of sessions of a protocol. */
export function sizeOf(sessions: SessionTable, protocol: SessionProtocol): number {
  return SOURCES.reduce((sum, source) => sum + sessions.sizeOf(protocol, source), 0)
}

/** Returns client number `n` of a service. */
export function client(n: number, protocol: SessionProtocol = IPPROTO_TCP): Key {
  return [4, protocol, LOCAL, 443, words('203.0.113.7'), n]
}

export const tcpClient = (n: number) => client(n, IPPROTO_TCP)
export const udpClient = (n: number) => client(n, IPPROTO_UDP)
