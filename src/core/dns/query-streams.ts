/**
 * Follows the queries on TCP connections to resolvers. A receiver orders segments by their sequence numbers, so
 * segments that overlap, or that are sent again with other bytes, could make another query out of judged ones. A
 * message must begin where the judged bytes of its connection end, or be the same as before (RFC 9293, 3.10.7.4).
 */
import { PerUserTable } from '../bounded/per-user-table.js'
import { type Packet, TCPHDR_SYN } from '../packet/packet.js'
import { word } from './edns.js'

interface QueryStream {
  /** The user who opened the connection. */
  readonly uid: number
  /** Sequence number of the first byte of the connection. */
  readonly first: number
  /** Sequence number behind the judged bytes. */
  next: number
  /** The last messages, of some hundred bytes each, by their sequence numbers. */
  readonly messages: Map<number, Uint8Array>
}

const MAX_STREAMS_PER_USER = 32
/** Messages that may be sent again; older ones are refused then. */
const MAX_MESSAGES = 64
/** A connection that has no query for so long is forgotten: milliseconds. */
const LIFETIME_MS = 300_000

export class QueryStreams {
  readonly #streams = new PerUserTable<QueryStream>(MAX_STREAMS_PER_USER, LIFETIME_MS)

  get size(): number {
    return this.#streams.size
  }

  /**
   * Whether a segment goes on where the judged bytes of its connection end, or repeats them. A segment without data
   * always does.
   * @param packet holds nothing but whole queries that may be sent, or no data @param uid its user id, or -1
   * @param now milliseconds since the epoch @param isTrusted whether the stream of this user is always followed
   */
  follow(packet: Packet, uid: number, now: number, isTrusted: boolean): boolean {
    const isOpening = (packet.tcpFlags & TCPHDR_SYN) !== 0
    const isEmpty = packet.payloadOffset === packet.payloadEnd
    if (isEmpty && !isOpening) return true
    const key = keyOf(packet)
    const first = (sequenceOf(packet) + (isOpening ? 1 : 0)) >>> 0
    let stream = this.#streams.get(key, now)
    // A SYN that is sent again must not make the bytes after the first one unknown.
    if (isOpening && stream?.first !== first) stream = { uid, first, next: first, messages: new Map() }
    if (stream === undefined || !goesOn(stream, packet, first)) return false
    this.#streams.put(stream.uid, key, stream, now, isTrusted)
    return true
  }

  /** Forgets connections without queries. @param now milliseconds since the epoch */
  expire(now: number): void {
    this.#streams.expire(now)
  }
}

/** Whether all messages of a segment are known, or begin at the end of the known ones; these are known from then on. */
function goesOn(stream: QueryStream, { bytes, payloadOffset, payloadEnd }: Packet, first: number): boolean {
  for (let at = payloadOffset; at < payloadEnd; ) {
    const position = (first + at - payloadOffset) >>> 0
    const end = at + 2 + word(bytes, at)
    const message = bytes.subarray(at, end)
    if (position === stream.next) remember(stream, position, message)
    else if (!isSame(message, stream.messages.get(position))) return false
    at = end
  }
  return true
}

function remember(stream: QueryStream, position: number, message: Uint8Array): void {
  stream.messages.set(position, message.slice())
  stream.next = (position + message.length) >>> 0
  if (stream.messages.size > MAX_MESSAGES) stream.messages.delete(stream.messages.keys().next().value!)
}

const isSame = (message: Uint8Array, before: Uint8Array | undefined) =>
  message.length === before?.length && message.every((byte, i) => byte === before[i])

// struct tcphdr { __be16 source, dest; __be32 seq; ... }
const sequenceOf = ({ bytes, transportOffset }: Packet) =>
  ((word(bytes, transportOffset + 4) << 16) | word(bytes, transportOffset + 6)) >>> 0

const keyOf = ({ family, source, sourcePort, destination, destinationPort }: Packet) =>
  `${family} ${source.join()} ${sourcePort} ${destination.join()} ${destinationPort}`
