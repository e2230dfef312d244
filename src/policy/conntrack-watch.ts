import { type Pressure, pressureOf } from '../core/ruleset/conntrack-pressure.js'
import { type ConntrackUsage, readConntrackUsage } from '../kernel/conntrack/usage.js'

/** A change of the pressure on connection tracking. */
export interface PressureChange {
  readonly pressure: Pressure
  /** The line for the log. */
  readonly text: string
}

/**
 * Reads how full connection tracking is.
 * @param before the pressure until now @returns the change, or undefined when the pressure is the same
 */
export function conntrackPressureChange(
  before: Pressure,
  usage: ConntrackUsage | undefined = readConntrackUsage(),
): PressureChange | undefined {
  const pressure = usage ? pressureOf(usage.entries, usage.limit, before) : 'none'
  return pressure === before ? undefined : { pressure, text: textOf(pressure, usage) }
}

function textOf(pressure: Pressure, usage: ConntrackUsage | undefined): string {
  if (usage === undefined) return 'connection tracking is gone: nothing is tracked any more'
  const what = {
    none: 'there is room again, and all is tracked as before',
    high: 'loopback is not tracked any more, so that no user of this host can fill the rest',
    full: 'loopback is not tracked any more, and new clients are served without being tracked',
  }[pressure]
  const advice = pressure === 'none' ? '' : '; `conntrack -L` shows whose they are'
  return `connection tracking holds ${usage.entries} of ${usage.limit} connections: ${what}${advice}`
}
