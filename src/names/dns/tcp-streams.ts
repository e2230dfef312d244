/** Reassembles DNS answers over TCP from segments that come in order (RFC 1035, section 4.2.2). */

import { PerUserTable } from '../../core/bounded/per-user-table.js'
import { type Packet, TCPHDR_ACK, TCPHDR_FIN, TCPHDR_RST } from '../../core/packet/packet.js'

interface Stream {
  /** Sequence number of the next byte. */
  next: number
  /** The bytes of a message that is not whole yet. */
  rest: Buffer
}

const MAX_PER_USER = 16
const LIFETIME_MS = 30_000

export class TcpStreams {
  readonly #streams = new PerUserTable<Stream>(MAX_PER_USER, LIFETIME_MS)

  get size(): number {
    return this.#streams.size
  }

  /**
   * Follows the stream of a query to a resolver, whose next bytes are the answer. @param now milliseconds
   * since the epoch
   */
  follow(packet: Packet, uid: number, now: number, isTrusted = false): void {
    if ((packet.tcpFlags & TCPHDR_ACK) === 0) return
    const key = keyOf(packet.family, packet.destination, packet.source, packet.sourcePort)
    const received = word(packet, ACKNOWLEDGED)
    const known = this.#streams.get(key, now)
    // Bytes that the program has acknowledged and that were not seen here are lost.
    const isBehind = known === undefined || ((received - known.next) | 0) > 0
    const stream = isBehind ? { next: received, rest: Buffer.alloc(0) } : known
    this.#streams.put(uid, key, stream, now, isTrusted)
  }

  /**
   * Returns the messages that a segment from a resolver completes; the caller may keep them. A segment out of
   * order is ignored: it may be forged, or the lost one before it will be sent again.
   */
  messages(packet: Packet, now: number): Buffer[] {
    const key = keyOf(packet.family, packet.source, packet.destination, packet.destinationPort)
    const stream = this.#streams.get(key, now)
    if (stream === undefined) return []
    const fresh = freshBytes(packet, stream)
    if (fresh === undefined) return []
    stream.next = (stream.next + fresh.length) >>> 0
    if (isEnd(packet, stream)) this.#streams.delete(key)
    return fresh.length === 0 ? [] : cut(stream, fresh)
  }

  expire(now: number): void {
    this.#streams.expire(now)
  }
}

/** Returns the new bytes of a segment; undefined when bytes before it are missing. */
function freshBytes(packet: Packet, stream: Stream): Uint8Array | undefined {
  const { bytes, payloadOffset, payloadEnd } = packet
  const known = (stream.next - word(packet, SEQUENCE)) | 0
  return known < 0 ? undefined : bytes.subarray(Math.min(payloadOffset + known, payloadEnd), payloadEnd)
}

/** Whether the stream ends with this segment, whose bytes were taken. */
function isEnd(packet: Packet, { next }: Stream): boolean {
  if ((packet.tcpFlags & (TCPHDR_FIN | TCPHDR_RST)) === 0) return false
  return (word(packet, SEQUENCE) + packet.payloadEnd - packet.payloadOffset) >>> 0 === next
}

/** Cuts the whole messages from the front of the stream. */
function cut(stream: Stream, fresh: Uint8Array): Buffer[] {
  let rest = Buffer.concat([stream.rest, fresh])
  const messages: Buffer[] = []
  while (rest.length >= 2) {
    const end = 2 + rest.readUInt16BE(0)
    if (rest.length < end) break
    messages.push(rest.subarray(2, end))
    rest = rest.subarray(end)
  }
  // A copy, since a slice would keep the whole buffer in memory.
  stream.rest = Buffer.from(rest)
  return messages
}

// struct tcphdr { __be16 source, dest; __be32 seq; __be32 ack_seq; ... }
const SEQUENCE = 4
const ACKNOWLEDGED = 8

function word({ bytes, transportOffset }: Packet, offset: number): number {
  const at = transportOffset + offset
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

const keyOf = (family: number, resolver: Uint32Array, local: Uint32Array, localPort: number) =>
  `${family} ${resolver.join()} ${local.join()} ${localPort}`
