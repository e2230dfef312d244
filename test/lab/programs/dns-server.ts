/**
 * dns-server ZONE: answers A and AAAA on port 53, UDP and TCP, IPv4 and IPv6. ZONE is JSON, see below.
 * Prints {"listening": 53}, and a `DnsQuery` for each query. A name without the type of the query gets an
 * empty answer, an unknown name NXDOMAIN.
 */

import packet, { type Answer, type Packet } from 'dns-packet'
import { serveNames, type Transport } from './name-service.js'
import { say, textArgument } from './say.js'

/** `{ "mirror.example.org": { "ttl": 30, "A": ["198.51.100.2"], "AAAA": ["2001:db8:51::2"] } }` */
export type Zone = Readonly<
  Record<string, { readonly ttl: number; readonly A?: readonly string[]; readonly AAAA?: readonly string[] }>
>

export interface DnsQuery {
  readonly query: string
  readonly type: string
  readonly from: string
  readonly transport: Transport
}

const NXDOMAIN = 3

const zone = JSON.parse(textArgument(0)) as Zone

function answer(query: Packet, from: string, transport: Transport): Packet {
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

serveNames(answer)
