/**
 * send-udp ADDRESS PORT COUNT [WAIT_MS]: sends datagrams, and waits that long for as many answers.
 * The socket is connected, so that the ICMP errors which come back are seen.
 */

import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { numberArgument, outcomeOf, say, textArgument } from './say.js'

export interface UdpResult {
  /** Datagrams that the kernel took without an error. */
  readonly sent: number
  readonly answers: number
  /** How often which error came: `{ "ECONNREFUSED": 2 }`. */
  readonly errors: Readonly<Record<string, number>>
}

const [address, port, count, wait] = [
  textArgument(0),
  numberArgument(1),
  numberArgument(2),
  numberArgument(3, 200),
]
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
while (answers < count && performance.now() < deadline) await sleep(5)
socket.close()
say({ sent, answers, errors } satisfies UdpResult)
