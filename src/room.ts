import { type Pressure, pressureOf } from './core/pressure.js'
import { type ConntrackRoom, readConntrackRoom } from './kernel/conntrack-room.js'

/** Watches how much room connection tracking has. */
export class Room {
  /** As it was at the last look. */
  pressure: Pressure = 'none'

  /** @returns what there is to say, if the pressure is another now */
  look(room: ConntrackRoom | undefined = readConntrackRoom()): string | undefined {
    const pressure = room ? pressureOf(room.entries, room.limit, this.pressure) : 'none'
    if (pressure === this.pressure) return undefined
    this.pressure = pressure
    return room === undefined ? 'nothing is tracked any more' : textOf(pressure, room)
  }
}

function textOf(pressure: Pressure, { entries, limit }: ConntrackRoom): string {
  const what = {
    none: 'there is room again, and all is tracked as before',
    high: 'loopback is not tracked any more, so that no user of this host can fill the rest',
    full: 'new clients are served without being tracked',
  }[pressure]
  const advice = pressure === 'none' ? '' : '; `conntrack -L` shows whose they are'
  return `connection tracking holds ${entries} of ${limit} connections: ${what}${advice}`
}
