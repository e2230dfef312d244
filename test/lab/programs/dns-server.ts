/**
 * dns-server ZONE: answers A and AAAA on port 53, UDP and TCP, IPv4 and IPv6. ZONE is JSON, see below.
 * Says {"listening": 53}, and a `DnsQuery` for each question. A name without the asked type gets an empty
 * answer, an unknown name NXDOMAIN.
 */

import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import packet, { type Answer, type Packet } from 'dns-packet'
import { say, textArgument } from './say.js'

/** `{ "mirror.example.org": { "ttl": 30, "A": ["198.51.100.2"], "AAAA": ["2001:db8:51::2"] } }` */
export type Zone = Readonly<
  Record<string, { readonly ttl: number; readonly A?: readonly string[]; readonly AAAA?: readonly string[] }>
>

export interface DnsQuery {
  readonly query: string
  readonly type: string
  readonly from: string
  readonly transport: 'udp' | 'tcp'
}

const NXDOMAIN = 3

const zone = JSON.parse(textArgument(0)) as Zone

function answer(query: Packet, from: string, transport: DnsQuery['transport']): Packet {
  const question = query.questions?.[0]
  const [name, type] = [question?.name.toLowerCase() ?? '', question?.type ?? '']
  say({ query: name, type, from, transport } satisfies DnsQuery)
  const entry = zone[name]
  const addresses = (type === 'A' || type === 'AAAA' ? entry?.[type] : undefined) ?? []
  const flags = packet.AUTHORITATIVE_ANSWER | packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE
  return {
    type: 'response',
    id: query.id ?? 0,
    flags: flags | (entry === undefined ? NXDOMAIN : 0),
    questions: query.questions ?? [],
    answers: addresses.map((data) => ({ name, type, ttl: entry!.ttl, data }) as Answer),
  }
}

/** The answer to a message, or nothing when it cannot be parsed. IPv4 comes to these sockets as ::ffff:a.b.c.d. */
function reply(message: Buffer, from: string, transport: DnsQuery['transport']): Buffer | undefined {
  try {
    return packet.encode(answer(packet.decode(message), from.replace(/^::ffff:/, ''), transport))
  } catch {
    return undefined
  }
}

const udp = createSocket('udp6')
udp.on('message', (message, from) => {
  const answered = reply(message, from.address, 'udp')
  if (answered) udp.send(answered, from.port, from.address, () => {})
})

/** Over TCP each message follows its length in two bytes (RFC 1035, 4.2.2). */
function serve(socket: Socket): void {
  let pending = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0)
      const answered = reply(pending.subarray(2, end), socket.remoteAddress ?? '', 'tcp')
      if (answered)
        socket.write(Buffer.concat([Buffer.from([answered.length >> 8, answered.length & 0xff]), answered]))
      pending = pending.subarray(end)
    }
  })
}

udp.bind(53, () => createServer(serve).listen(53, () => say({ listening: 53 })))
