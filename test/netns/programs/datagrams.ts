/**
 * datagrams PLAN: sends datagrams from an address and a port, and tells what comes back. PLAN is JSON, see below. Says
 * `{"sent": N}` when all are on their way, and then a `Datagram` for each that comes, until its time is over.
 */
import { createSocket } from 'node:dgram'
import { say } from '../../lab/programs/say.js'

export interface DatagramPlan {
  /** Any address that the namespace takes for its own. */
  readonly from: string
  readonly port: number
  readonly to: string
  readonly toPort: number
  /** Each in hexadecimal. */
  readonly messages: readonly string[]
  /** Milliseconds that it listens. */
  readonly wait: number
  /** It ends as soon as so many have come. */
  readonly enough?: number
}

export interface Datagram {
  readonly from: string
  /** In hexadecimal. */
  readonly data: string
}

const { from, port, to, toPort, messages, wait, enough } = JSON.parse(process.argv[2]!) as DatagramPlan
const socket = createSocket(from.includes(':') ? 'udp6' : 'udp4')
let come = 0
socket.on('message', (data, { address }) => {
  say({ from: address, data: data.toString('hex') } satisfies Datagram)
  if (++come === enough) process.exit()
})
socket.on('error', () => {})
socket.bind(port, from, async () => {
  for (const message of messages)
    await new Promise((resolve) => socket.send(Buffer.from(message, 'hex'), toPort, to, resolve))
  say({ sent: messages.length })
  setTimeout(() => process.exit(), wait)
})
