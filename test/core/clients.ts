/** Makes the state of a host's clients for tests: at first there are no clients and no sockets. */

import type { SocketState } from '../../src/core/packet/ip.js'
import { type CallbackSpec, Callbacks } from '../../src/core/session/callbacks.js'
import type { Inbound } from '../../src/core/session/client-replies.js'
import { SessionTable } from '../../src/core/session/session-table.js'

export const TCP_TIMEOUT = 1000
export const UDP_TIMEOUT = 10
/** The default of Linux (ip_local_port_range, ip-sysctl). */
export const EPHEMERAL_PORTS = { first: 32768, last: 60999 } as const

export interface Clients extends Inbound {
  readonly sessions: SessionTable
  readonly opened: SessionTable
  readonly callbacks: Callbacks
  /** The state of every socket in the kernel. */
  socket: SocketState
  /** Whether every port has a listening socket. */
  listening: boolean
  /** The look-ups so far: local port, remote port, device. */
  readonly asked: (readonly [localPort: number, remotePort: number, device: number])[]
}

export function clients(callbacks: readonly CallbackSpec[] = []): Clients {
  const seed = Uint32Array.of(1, 2)
  const table = (tcpTimeout: number) =>
    new SessionTable({ capacity: 16, tcpTimeout, udpTimeout: UDP_TIMEOUT, seed })
  const made: Clients = {
    sessions: table(TCP_TIMEOUT),
    opened: table(0x7fffffff),
    services: { tcp: new Uint8Array(65536), udp: new Uint8Array(65536) },
    callbacks: new Callbacks(callbacks, UDP_TIMEOUT),
    lookUp: (_family, _local, localPort, _remote, remotePort, device) => {
      made.asked.push([localPort, remotePort, device])
      return made.socket
    },
    listens: (_family, _local, localPort, device) => {
      made.asked.push([localPort, 0, device])
      return made.listening
    },
    now: 1000,
    socket: 'none',
    listening: false,
    asked: [],
  }
  return made
}
