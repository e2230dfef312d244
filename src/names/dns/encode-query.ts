/**
 * Encodes DNS queries: those that the service sends, and those of packets that `explain` makes up (RFC 1035,
 * section 4).
 */
import { encode, type Packet as Message, RECURSION_DESIRED, type RecordType, streamEncode } from 'dns-packet'
import { IPPROTO_TCP } from '../../core/packet/ip.js'

export interface Query {
  /** 0 to 65535; 0 when absent. */
  readonly id?: number
  readonly name: string
  /** A when absent. */
  readonly type?: RecordType
}

/** Encodes a query as one datagram. @throws Error when a label of the name is too long */
export const encodeQuery = (query: Query): Uint8Array => encode(messageOf(query))

/**
 * Encodes a query for a stream, with its length before it (RFC 1035, section 4.2.2). @throws Error as
 * `encodeQuery` does
 */
export const encodeStreamQuery = (query: Query): Uint8Array => streamEncode(messageOf(query))

/**
 * Encodes a query as the payload of a packet, for a stream when the protocol is TCP. @throws Error as
 * `encodeQuery` does
 */
export const encodePayload = (query: Query, protocol: number): Uint8Array =>
  protocol === IPPROTO_TCP ? encodeStreamQuery(query) : encodeQuery(query)

const messageOf = ({ id = 0, name, type = 'A' }: Query): Message => ({
  type: 'query',
  id,
  flags: RECURSION_DESIRED,
  questions: [{ name, type }],
})
