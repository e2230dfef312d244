/** Encodes the DNS queries that the service sends, and those of packets that are only imagined (RFC 1035, section 4). */
import { encode, type Packet as Message, RECURSION_DESIRED, type RecordType, streamEncode } from 'dns-packet'
import { IPPROTO_TCP } from '../../core/packet/ip.js'

export interface Query {
  /** 0 to 65535; 0 when absent. */
  readonly id?: number
  readonly name: string
  /** A when absent. */
  readonly type?: RecordType
}

/** A query as one datagram. @throws Error where a label of the name is too long */
export const encodeQuery = (query: Query): Uint8Array => encode(messageOf(query))

/** A query for a stream, behind its length (RFC 1035, section 4.2.2). @throws Error as `encodeQuery` does */
export const encodeStreamQuery = (query: Query): Uint8Array => streamEncode(messageOf(query))

/** The query as the payload of a packet: TCP is a stream, all else carries datagrams. @throws Error as `encodeQuery` does */
export const encodePayload = (query: Query, protocol: number): Uint8Array =>
  protocol === IPPROTO_TCP ? encodeStreamQuery(query) : encodeQuery(query)

const messageOf = ({ id = 0, name, type = 'A' }: Query): Message => ({
  type: 'query',
  id,
  flags: RECURSION_DESIRED,
  questions: [{ name, type }],
})
