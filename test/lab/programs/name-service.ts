/** Serves DNS for the name servers of the lab: port 53, UDP and TCP, IPv4 and IPv6. */

import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import packet, { type Packet } from 'dns-packet'
import { say } from './say.js'

export type Transport = 'udp' | 'tcp'

/** Answers a query, or throws when the message is none. `from` is an address. */
export type Answering = (query: Packet, from: string, transport: Transport) => Packet

/** Serves, and prints {"listening": 53}. A message that cannot be read gets no answer. */
export function serveNames(answer: Answering): void {
  const udp = createSocket('udp6')
  udp.on('message', (message, from) => {
    const answered = reply(answer, message, from.address, 'udp')
    if (answered) udp.send(packet.encode(answered), from.port, from.address, () => {})
  })
  udp.bind(53, () => createServer((socket) => serve(answer, socket)).listen(53, () => say({ listening: 53 })))
}

/** Answers the messages of a TCP connection. Each follows its length in two bytes (RFC 1035, 4.2.2). */
function serve(answer: Answering, socket: Socket): void {
  let pending = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0)
      const answered = reply(answer, pending.subarray(2, end), socket.remoteAddress ?? '', 'tcp')
      if (answered) socket.write(packet.streamEncode(answered))
      pending = pending.subarray(end)
    }
  })
}

/** Returns the answer to a message. IPv4 addresses come from these sockets as ::ffff:a.b.c.d. */
function reply(answer: Answering, message: Buffer, from: string, transport: Transport): Packet | undefined {
  try {
    return answer(packet.decode(message), from.replace(/^::ffff:/, ''), transport)
  } catch {
    return undefined
  }
}
