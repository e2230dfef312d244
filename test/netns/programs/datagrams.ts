/**
 * datagrams PLAN: sends datagrams from an address and a port, and prints what comes back. PLAN is JSON, see
 * below. Prints `{"sent": N}` when all are sent, and then a `Datagram` for each that arrives, until its time
 * is over.
 */
import { createSocket } from 'node:dgram'
import { say } from '../../lab/programs/say.js'

export interface DatagramPlan {
  /** The source: any address that is local in the namespace. */
  readonly from: string
  readonly port: number
  readonly to: string
  readonly toPort: number
  /** The payloads, each in hexadecimal. */
  readonly messages: readonly string[]
  /** How long the program waits for datagrams, in milliseconds. */
  readonly wait: number
  /** The program ends when this many datagrams have arrived. */
  readonly enough?: number
}

export interface Datagram {
  readonly from: string
  /** The payload in hexadecimal. */
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
