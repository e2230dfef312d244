/**
 * fresh-dns ZONE [TTL [CNAME]]: answers A on port 53, UDP and TCP, IPv4 and IPv6, for every name below ZONE, each
 * time with one address that it has never given before: 198.18.4.1, 198.18.4.2 ... With CNAME the name is an alias
 * of that one, whose address it is. There is no AAAA; a name outside ZONE is NXDOMAIN; no address left is SERVFAIL.
 * Says {"listening": 53}, and a `FreshQuery` for each question.
 */

import packet, { type Answer, type Packet } from 'dns-packet'
import { serveNames, type Transport } from './name-service.js'
import { numberArgument, say, textArgument } from './say.js'

export interface FreshQuery {
  readonly query: string
  readonly type: string
  readonly from: string
  readonly transport: Transport
  /** The address given, when one was. */
  readonly address?: string
}

const SERVFAIL = 2
const NXDOMAIN = 3

/** 198.18.4.1 up to 198.18.127.255, as numbers of the last two bytes. */
const [FIRST, END] = [4 * 256 + 1, 128 * 256]

const zone = textArgument(0).toLowerCase()
const ttl = numberArgument(1, 30)
const cname = process.argv[4]
let next = FIRST

/** The next address; undefined when all have been given. */
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
