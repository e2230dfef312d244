/**
 * Asks a resolver over TCP (RFC 7766). The source port of a query over UDP is in a file that every user may
 * read (/proc/net/udp): an unprivileged user can tell it to an accomplice, who forges an answer with each of
 * the 65,536 IDs. The sequence numbers of TCP are in no file.
 */
import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { type Question, readAnswered } from '../../core/dns/question.js'
import { encodeStreamQuery } from './encode-query.js'

/** The record types that the service asks for, with their numbers (RFC 1035, RFC 3596, RFC 2782). */
export const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const
export type TypeName = keyof typeof TYPES

/** The answers of a resolver, by their queries. */
export type Answers = Map<Question, Buffer>

/** Thrown when a resolver takes no TCP connection. */
export class NoConnection extends Error {}

const TIMEOUT_MS = 2000
const TIMEOUT = `within ${TIMEOUT_MS / 1000} seconds`
const DNS_PORT = 53

/** Asks one resolver. */
export class TcpResolver {
  readonly #place: { readonly host: string; readonly port: number }

  /**
   * @param server as node:dns writes it: `198.51.100.53`, `198.51.100.53:5353`, `2001:db8::53`,
   * `[2001:db8::53]:5353`
   */
  constructor(server: string) {
    const [, host = server, port = DNS_PORT] = isIP(server) ? [] : (/^\[?(.+?)\]?:(\d+)$/.exec(server) ?? [])
    this.#place = { host, port: Number(port) }
  }

  /**
   * Sends all queries at once, on one connection. Some resolvers answer one query for each connection: they
   * are asked for the rest on another. Takes four seconds at most, and does not keep the process alive.
   * @returns the answers that came @throws Error (rejects) when none came; NoConnection
   */
  async ask(questions: readonly Question[]): Promise<Answers> {
    const answers: Answers = new Map()
    try {
      await this.#converse(questions, answers)
    } catch (error) {
      if (answers.size === 0) throw error
      const rest = questions.filter((question) => !answers.has(question))
      await this.#converse(rest, answers).catch(() => {})
    }
    return answers
  }

  /**
   * Uses one connection. Settles when all queries are answered. @throws Error (rejects) when they are not,
   * with the reason
   */
  async #converse(questions: readonly Question[], answers: Answers): Promise<void> {
    const socket = connect({ ...this.#place, noDelay: true }).unref()
    socket.on('error', () => {})
    const timer = setTimeout(() => socket.destroy(new Error(`no answer ${TIMEOUT}`)), TIMEOUT_MS)
    timer.unref()
    try {
      await connected(socket)
      // One write makes one segment: when names are enforced, each segment must hold whole queries.
      socket.write(Buffer.concat(questions.map(framed)))
      await collect(socket, questions, answers)
    } finally {
      clearTimeout(timer)
      close(socket)
    }
  }
}

async function connected(socket: Socket): Promise<void> {
  try {
    await once(socket, 'connect')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new NoConnection(`it takes no TCP connection (${code ?? `no answer ${TIMEOUT}`})`)
  }
}

/** Reads until each query is answered. */
async function collect(socket: Socket, questions: readonly Question[], answers: Answers): Promise<void> {
  const missing = new Set(questions)
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of withoutReset(socket)) {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const message = rest.subarray(2, 2 + rest.readUInt16BE(0))
      rest = rest.subarray(2 + message.length)
      const question = answeredBy(message, missing)
      answers.set(question, message)
      missing.delete(question)
      // Closed by a reset here: the end of this loop would close it with a FIN.
      if (missing.size === 0) return close(socket)
    }
  }
  throw new Error(rest.length > 0 ? 'its answer is cut short' : 'it closed the connection without an answer')
}

/** Reads the stream; a reset ends it like a FIN. */
async function* withoutReset(socket: Socket): AsyncGenerator<Buffer> {
  try {
    yield* socket as AsyncIterable<Buffer>
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ECONNRESET' && code !== 'EPIPE') throw error
  }
}

/**
 * Finds the query that a message answers. @throws Error for any other message: only the resolver can write on
 * the connection
 */
function answeredBy(message: Buffer, questions: Iterable<Question>): Question {
  const answered = readAnswered(message, 0, message.length)
  for (const each of questions)
    if (each.id === answered?.id && each.name === answered.name && each.type === answered.type) return each
  throw new Error('what it sent is no answer to the question')
}

/** Closes with a reset, which leaves no socket in TIME_WAIT: thousands of names may be asked for. */
function close(socket: Socket): void {
  if (socket.connecting || socket.destroyed) socket.destroy()
  else socket.resetAndDestroy()
}

function framed({ id, name, type }: Question): Uint8Array {
  const typeName = (Object.keys(TYPES) as TypeName[]).find((each) => TYPES[each] === type)!
  return encodeStreamQuery({ id, name, type: typeName })
}
