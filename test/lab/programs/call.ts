/** Opens a TCP connection, and closes it again. */
import { connect } from 'node:net'
import { type Outcome, outcomeOf, since } from './say.js'

export interface ConnectResult {
  readonly outcome: Outcome
  readonly ms: number
}

/** Opens a connection, and closes it. @param timeout milliseconds */
export async function connection(host: string, port: number, timeout: number): Promise<ConnectResult> {
  const start = performance.now()
  return { outcome: await call(host, port, timeout), ms: since(start) }
}

/** Opens a connection, and closes it. @param timeout milliseconds @returns the outcome alone */
export function call(host: string, port: number, timeout: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const timer = setTimeout(() => end('timeout'), timeout)
    const end = (outcome: Outcome) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(outcome)
    }
    socket.once('connect', () => {
      // Once in some 20,000 times libuv takes a connection that is refused at this moment for a successful
      // one (SO_ERROR is still 0). Such a socket has no remote address, and the next write fails with the
      // reason.
      if (socket.remoteAddress === undefined) socket.write('?')
      else end('ok')
    })
    // More errors may come from the write.
    socket.on('error', (error) => end(outcomeOf(error)))
  })
}
