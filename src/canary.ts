import { connect } from 'node:net'
import type { Endpoint } from './config.js'

const TIMEOUT_MS = 2000

/** What a canary connection met: `blocked` by a refusal or by silence, or `open`: it got through. */
export type CanaryResult = 'blocked' | 'open'

/**
 * Tries to connect to where nothing may be reached. A target that does not exist would be silent too: that the
 * packet was really judged and blocked is known from the counter of the reason `canary`.
 */
export function tryCanary({ host, port }: Endpoint): Promise<CanaryResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS })
    const end = (result: CanaryResult) => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => end('open'))
    socket.once('timeout', () => end('blocked'))
    socket.once('error', () => end('blocked'))
  })
}
