/** Sends datagrams from one socket, and counts what comes back. */

import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { outcomeOf } from './say.js'

export interface UdpResult {
  /** The datagrams that the kernel accepted without an error. */
  readonly sent: number
  readonly answers: number
  /** The count of each error: `{ "ECONNREFUSED": 2 }`. */
  readonly errors: Readonly<Record<string, number>>
}

/**
 * Sends datagrams, and waits at most `wait` milliseconds for as many answers and errors.
 * The socket is connected, so that the ICMP errors which come back are seen.
 */
export async function shoot(address: string, port: number, count: number, wait: number): Promise<UdpResult> {
  const errors: Record<string, number> = {}
  let sent = 0
  let answers = 0
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  const note = (error: unknown) => {
    errors[outcomeOf(error)] = (errors[outcomeOf(error)] ?? 0) + 1
  }
  socket.on('error', note)
  socket.on('message', () => {
    answers++
  })

  await new Promise<void>((resolve) => socket.connect(port, address, resolve))
  for (let datagram = 0; datagram < count; datagram++) {
    const error = await new Promise<Error | null>((resolve) => socket.send(`${datagram}`, resolve))
    if (error) note(error)
    else sent++
  }
  const deadline = performance.now() + wait
  const heard = () => answers + Object.values(errors).reduce((sum, times) => sum + times, 0)
  while (heard() < count && performance.now() < deadline) await sleep(5)
  socket.close()
  return { sent, answers, errors }
}
