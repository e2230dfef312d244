/** One TCP connection, opened and closed again. */
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

/** @param timeout milliseconds */
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
      // libuv takes a call that is refused in the very moment for one that was answered (SO_ERROR is still 0), once in
      // some 20,000: such a socket has no other end, and the next write tells why.
      if (socket.remoteAddress === undefined) socket.write('?')
      else end('ok')
    })
    // More may come of what was written.
    socket.on('error', (error) => end(outcomeOf(error)))
  })
}
