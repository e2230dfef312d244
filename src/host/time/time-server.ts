import type { Destination } from '../../core/packet/ip.js'
import type { Origin } from '../../core/policy/origin.js'
import type { Placed } from '../placed.js'
import { otherServer } from '../server-address.js'

/** A server that a time service calls, and its port; undefined: 123. */
export type TimeServer = Destination & { readonly port?: number | undefined }

/** The servers that the files of a time service name. */
export interface TimeService {
  /** Servers of NTP, over UDP. */
  readonly ntp: readonly Placed<TimeServer>[]
  /** Servers over TLS, with their ports: key establishment of NTS, and the constraints of OpenNTPD. */
  readonly tls: readonly Placed<TimeServer>[]
}

/** Joins what several files name. */
export const joined = (services: readonly TimeService[]): TimeService => ({
  ntp: services.flatMap(({ ntp }) => ntp),
  tls: services.flatMap(({ tls }) => tls),
})

/** Returns a server with its origin; none when its text is no server on another host. */
export function placedServer(text: string, port: number | undefined, origin: Origin): Placed<TimeServer>[] {
  const server = otherServer(text)
  if (!server) return []
  return [{ value: port === undefined ? server : { ...server, port }, origin }]
}
