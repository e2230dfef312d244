/**
 * Runs the two ends of the part `dns`:
 *
 *     dns-load.js answer                                  a resolver, which has an address for each name
 *     dns-load.js ask WAY PAUSE NAME ADDRESS MILLISECONDS   a program that sends queries to ADDRESS, udp or tcp
 *
 * Queries follow one another on one socket, whose connection is approved once: when answers are not held, a guard
 * sees no further packets of it.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import {
  type Answer,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  streamEncode,
} from 'dns-packet'
import { say } from '../../test/lab/programs/say.js'
import { median, percentile } from '../lib.js'

/** What `ask` prints: microseconds from query to answer without those of the warm-up, and the number of queries. */
export interface Asked {
  readonly median: number
  readonly p99: number
  readonly asked: number
}

const WARM_UP_MS = 500
const PATIENCE_MS = 2000
const TTL = 30

/** Returns the address of a name: in 198.18.0.0/15, by the number in the name. Names have A records only. */
function answerTo(message: Buffer): Packet {
  const { id, questions } = decode(message)
  const { name, type } = questions![0]!
  const number = Number(/\d+/.exec(name)?.[0]) % 0x20000
  const data = `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`
  const answers: Answer[] = type === 'A' ? [{ type, name, ttl: TTL, data }] : []
  return { type: 'response', id: id!, flags: RECURSION_AVAILABLE, questions: questions!, answers }
}

/** Runs the resolver. At its end it prints its own time for each answer. */
function answer(): void {
  const taken: number[] = []
  const timed = (work: (done: () => void) => void) => {
    const start = performance.now()
    work(() => taken.push((performance.now() - start) * 1000))
  }
  const udp = createSocket('udp4')
  udp.on('message', (message, { port, address }) =>
    timed((done) => udp.send(encode(answerTo(message)), port, address, done)),
  )
  const tcp = createServer({ noDelay: true }, (socket) =>
    readMessages(socket, (message) => timed((done) => socket.write(streamEncode(answerTo(message)), done))),
  )
  udp.bind(53, () => tcp.listen(53, () => say({ listening: 53 })))
  process.once('SIGTERM', () => {
    say({ microseconds: median(taken) })
    process.exit()
  })
}

/** Splits messages over TCP, each after its length. Here each segment has whole messages. */
function readMessages(socket: Socket, onMessage: (message: Buffer) => void): void {
  // The service ends its connections by a reset.
  socket.on('error', () => {})
  socket.on('data', (segment) => {
    for (let at = 0; at < segment.length; at += 2 + segment.readUInt16BE(at))
      onMessage(segment.subarray(at + 2, at + 2 + segment.readUInt16BE(at)))
  })
}

/** Sends queries, and calls back for each answer. */
interface Line {
  readonly send: (question: Packet) => void
  readonly onAnswer: (heard: () => void) => void
}

async function udpLine(resolver: string): Promise<Line> {
  const socket = createSocket('udp4')
  socket.connect(53, resolver)
  await once(socket, 'connect')
  return {
    send: (question) => socket.send(encode(question)),
    onAnswer: (heard) => socket.on('message', heard),
  }
}

async function tcpLine(resolver: string): Promise<Line> {
  const socket = connect({ port: 53, host: resolver, noDelay: true })
  await once(socket, 'connect')
  return {
    send: (question) => socket.write(streamEncode(question)),
    onAnswer: (heard) => readMessages(socket, heard),
  }
}

/** @param pause milliseconds before each query @param asked a name; a `*` in it becomes the number of the query */
async function ask(
  { send, onAnswer }: Line,
  pause: number,
  asked: string,
  milliseconds: number,
): Promise<void> {
  const taken: number[] = []
  const begin = performance.now()
  let number = 0
  let start = 0
  const next = () => {
    const question = questionFor(asked.replace('*', `${++number}`), number & 0xffff)
    start = performance.now()
    send(question)
  }
  onAnswer(() => {
    const now = performance.now()
    const passed = now - begin - WARM_UP_MS
    if (passed > 0) taken.push((now - start) * 1000)
    if (passed < milliseconds) return pause === 0 ? next() : setTimeout(next, pause)
    say({ median: median(taken), p99: percentile(taken, 0.99), asked: number } satisfies Asked)
    process.exit()
  })
  setTimeout(() => process.exit(1), WARM_UP_MS + milliseconds + PATIENCE_MS)
  next()
}

const questionFor = (name: string, id: number): Packet => ({
  type: 'query',
  id,
  flags: RECURSION_DESIRED,
  questions: [{ type: 'A', name }],
})

const [word, way, pause, name = '', resolver = '', milliseconds] = process.argv.slice(2)
if (word === 'answer') answer()
else {
  const line = await (way === 'udp' ? udpLine : tcpLine)(resolver)
  await ask(line, Number(pause), name, Number(milliseconds))
}
