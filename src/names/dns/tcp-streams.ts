/** Answers over TCP: what a resolver sends is put together again, as far as it comes in order (RFC 1035, section 4.2.2). */
import { type Packet, TCPHDR_ACK, TCPHDR_FIN, TCPHDR_RST } from '../../core/packet/packet.js'
import { PerUserTable } from './per-user-table.js'

interface Stream {
  /** Sequence number of the next byte. */
  next: number
  /** What has come of a message that is not whole. */
  rest: Buffer
}

const ROOM_A_USER = 16
const LIFETIME_MS = 30_000

export class Streams {
  readonly #streams = new PerUserTable<Stream>(ROOM_A_USER, LIFETIME_MS)

  get size(): number {
    return this.#streams.size
  }

  /** A question is on its way: what the resolver sends next is its answer. */
  follow(packet: Packet, uid: number, now: number, isTrusted = false): void {
    if ((packet.tcpFlags & TCPHDR_ACK) === 0) return
    const key = keyOf(packet.family, packet.destination, packet.source, packet.sourcePort)
    const received = word(packet, ACKNOWLEDGED)
    const known = this.#streams.get(key, now)
    // What the program has, and was not seen here, is lost.
    const isBehind = known === undefined || ((received - known.next) | 0) > 0
    const stream = isBehind ? { next: received, rest: Buffer.alloc(0) } : known
    this.#streams.put(uid, key, stream, now, isTrusted)
  }

  /**
   * The messages that a segment from a resolver makes whole. They are the caller's. What is not at its place in the stream is as
   * good as nothing, as it is to the kernel: it may be forged, or what was lost comes again.
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

/** What is new in a segment; undefined where something before it is missing. */
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

/** Takes the whole messages from the front. */
function cut(stream: Stream, fresh: Uint8Array): Buffer[] {
  let rest = Buffer.concat([stream.rest, fresh])
  const messages: Buffer[] = []
  while (rest.length >= 2) {
    const end = 2 + rest.readUInt16BE(0)
    if (rest.length < end) break
    messages.push(rest.subarray(2, end))
    rest = rest.subarray(end)
  }
  // A copy: the whole of what it was cut from would stay in memory with it.
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
