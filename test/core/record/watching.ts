/** Notes blocks for the tests of the block summary, and collects the events as text. */

import { IPPROTO_TCP } from '../../../src/core/packet/ip.js'
import { Packet } from '../../../src/core/packet/packet.js'
import type { SenderDetails, SenderLookup } from '../../../src/core/packet/sender.js'
import { NOT_ALLOWLISTED } from '../../../src/core/policy/policy.js'
import { BlockAggregator, type PendingEvent } from '../../../src/core/record/block-summary.js'
import type { RecordLimits } from '../../../src/core/record/user-shares.js'
import { words } from '../packets.js'

export const SEED = Uint32Array.of(0x01234567, 0x89abcdef)
/** SMALL gives a user two groups, two lines of each kind at once, and one line in four seconds. */
export const SMALL: RecordLimits = { groups: 8, lines: 8, linesPerSecond: 1, users: 3 }
export const ROOMY: RecordLimits = { groups: 128, lines: 128, linesPerSecond: 1, users: 8 }
export const SECOND = 1000
export const MINUTE = 60 * SECOND

export function packet(given: { to?: string; port?: number; from?: number; protocol?: number } = {}): Packet {
  const made = new Packet()
  const to = given.to ?? '198.51.100.2'
  made.family = to.includes(':') ? 6 : 4
  made.protocol = given.protocol ?? IPPROTO_TCP
  made.source.set(words(made.family === 6 ? '2001:db8::1' : '192.0.2.1'))
  made.sourcePort = given.from ?? 40000
  made.destination.set(words(to))
  made.destinationPort = given.port ?? 443
  return made
}

export const at = (place: number, who: SenderDetails = { attribution: 'found' }): SenderLookup => ({
  place,
  describe: () => who,
})
export const ANYWHERE = at(2)

/**
 * Makes an aggregator with a clock, and keeps its events as text: `uid:port first`, or
 * `uid:port *blocks @seconds`.
 */
export function watched(limits = ROOMY) {
  const aggregator = new BlockAggregator(limits, SEED, 0, () => undefined)
  const texts: string[] = []
  let now = 0
  const listen = () => {
    for (const event of aggregator.take()) texts.push(textOf(event, now))
  }
  /** Lets time pass, a second at a time. */
  const pass = (ms: number) => {
    for (const end = now + ms; now < end; ) {
      now += SECOND
      aggregator.tick(now)
      listen()
    }
  }
  const note = (port: number, uid = 33, times = 1) => {
    for (let i = 0; i < times; i++) aggregator.note(packet({ port }), uid, NOT_ALLOWLISTED, ANYWHERE)
    listen()
  }
  /** Returns the events since the last call. */
  const newEvents = () => texts.splice(0)
  return { aggregator, note, pass, newEvents, now: () => now }
}

export function textOf(event: PendingEvent, now: number): string {
  if (event.type === 'suppressed') return `${event.uid} suppressed*${event.blocks} @${now / SECOND}`
  const { uid, destinationPort } = event.group
  return `${uid}:${destinationPort} ${event.type === 'first' ? 'first' : `*${event.blocks} @${now / SECOND}`}`
}
