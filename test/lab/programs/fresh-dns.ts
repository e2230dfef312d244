/**
 * fresh-dns ZONE [TTL [CNAME]]: answers A on port 53, UDP and TCP, IPv4 and IPv6, for every name below ZONE,
 * each time with one new address: 198.18.4.1, 198.18.4.2 ... With CNAME each name is an alias of CNAME, which
 * has the address. There is no AAAA. A name outside ZONE gets NXDOMAIN; when no address is left, the answer
 * is SERVFAIL. Prints {"listening": 53}, and a `FreshQuery` for each query.
 */

import packet, { type Answer, type Packet } from 'dns-packet'
import { serveNames, type Transport } from './name-service.js'
import { numberArgument, say, textArgument } from './say.js'

export interface FreshQuery {
  readonly query: string
  readonly type: string
  readonly from: string
  readonly transport: Transport
  /** The address in the answer; undefined when there is none. */
  readonly address?: string
}

const SERVFAIL = 2
const NXDOMAIN = 3

/** The addresses 198.18.4.1 to 198.18.127.255, as numbers of their last two bytes. */
const [FIRST, END] = [4 * 256 + 1, 128 * 256]

const zone = textArgument(0).toLowerCase()
const ttl = numberArgument(1, 30)
const cname = process.argv[4]
let next = FIRST

/** Returns the next address; undefined when all have been used. */
function fresh(): string | undefined {
  if (next === END) return undefined
  const host = next++
  return `198.18.${host >> 8}.${host & 0xff}`
}

interface Found {
  readonly status: number
  readonly answers: Answer[]
  readonly address?: string
}

function find(name: string, type: string): Found {
  if (!name.endsWith(`.${zone}`)) return { status: NXDOMAIN, answers: [] }
  const alias: Answer[] = cname === undefined ? [] : [{ type: 'CNAME', name, ttl, data: cname }]
  if (type !== 'A') return { status: 0, answers: alias }
  const address = fresh()
  if (address === undefined) return { status: SERVFAIL, answers: [] }
  return { status: 0, answers: [...alias, { type: 'A', name: cname ?? name, ttl, data: address }], address }
}

function answer(query: Packet, from: string, transport: Transport): Packet {
  const question = query.questions![0]!
  const { status, answers, address } = find(question.name.toLowerCase(), question.type)
  const asked = { query: question.name.toLowerCase(), type: question.type, from, transport }
  say((address === undefined ? asked : { ...asked, address }) satisfies FreshQuery)
  const flags = packet.AUTHORITATIVE_ANSWER | packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE
  return { type: 'response', id: query.id!, flags: flags | status, questions: [question], answers }
}

serveNames(answer)
