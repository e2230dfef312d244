/**
 * Runs the npm package nfqueue as a peer: packets to the given addresses are accepted, and others get a mark and
 * start again. `node nfqueue.js FOLDER QUEUE MARK ADDRESS...`
 */
import { createRequire } from 'node:module'
import ipaddr from 'ipaddr.js'

interface QueuedPacket {
  readonly payload: Buffer
  setVerdict(verdict: number, mark?: number): void
}

interface Package {
  readonly NF_ACCEPT: number
  readonly NF_REPEAT: number
  createQueueHandler(queue: number, bufferBytes: number, onPacket: (packet: QueuedPacket) => void): unknown
}

const [folder = '', queue, mark, ...addresses] = process.argv.slice(2)
const { NF_ACCEPT, NF_REPEAT, createQueueHandler } = createRequire(import.meta.url)(folder) as Package
const allowed = new Set(
  addresses.map((each) => Buffer.from(ipaddr.parse(each).toByteArray()).toString('latin1')),
)

/** Returns the destination: RFC 791 section 3.1, RFC 8200 section 3. */
const destination = (payload: Buffer) =>
  payload[0]! >> 4 === 4 ? payload.toString('latin1', 16, 20) : payload.toString('latin1', 24, 40)

createQueueHandler(Number(queue), 8 * 1024 * 1024, (packet) => {
  if (allowed.has(destination(packet.payload))) packet.setVerdict(NF_ACCEPT)
  else packet.setVerdict(NF_REPEAT, Number(mark))
})
