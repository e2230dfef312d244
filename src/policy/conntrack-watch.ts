import { type Pressure, pressureOf } from '../core/ruleset/conntrack-pressure.js'
import { type ConntrackUsage, readConntrackUsage } from '../kernel/conntrack/usage.js'

/** What is new about the room of connection tracking. */
export interface PressureChange {
  readonly pressure: Pressure
  /** For the operator. */
  readonly text: string
}

/** Looks how much room connection tracking has. @returns nothing where the pressure is what it was */
export function checkConntrack(
  before: Pressure,
  room: ConntrackUsage | undefined = readConntrackUsage(),
): PressureChange | undefined {
  const pressure = room ? pressureOf(room.entries, room.limit, before) : 'none'
  return pressure === before ? undefined : { pressure, text: textOf(pressure, room) }
}

function textOf(pressure: Pressure, room: ConntrackUsage | undefined): string {
  if (room === undefined) return 'connection tracking is gone: nothing is tracked any more'
  const what = {
    none: 'there is room again, and all is tracked as before',
    high: 'loopback is not tracked any more, so that no user of this host can fill the rest',
    full: 'loopback is not tracked any more, and new clients are served without being tracked',
  }[pressure]
  const advice = pressure === 'none' ? '' : '; `conntrack -L` shows whose they are'
  return `connection tracking holds ${room.entries} of ${room.limit} connections: ${what}${advice}`
}
