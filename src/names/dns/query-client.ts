/** The service's own questions to the host's resolvers, over TCP, and what their answers say. */
import { randomInt } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import type { Question } from '../../core/dns/question.js'
import { type AnswerContent, messageOf, readAnswer, TTL_AT_MOST } from './answer-reader.js'
import { NoConnection, TcpResolver, TYPES, type TypeName } from './tcp-resolver.js'

export interface Reply extends AnswerContent {
  /** Whether there were records, be they of use or not. */
  readonly hasRecords: boolean
}

/** As many as the C library asks: MAXNS of resolv.conf(5). */
const SERVERS_AT_MOST = 3

/**
 * Asks the resolvers of resolv.conf, one after the other, until one of them tells something, or that there is nothing.
 * @throws Error (rejects) where none does; NoConnection where none takes a TCP connection
 */
export async function ask(name: string, types: readonly TypeName[]): Promise<Reply[]> {
  const troubles: Error[] = []
  // A fresh one each time, so that a changed resolv.conf counts.
  for (const server of new Resolver().getServers().slice(0, SERVERS_AT_MOST)) {
    try {
      return await askServer(server, name, types)
    } catch (error) {
      const Kind = error instanceof NoConnection ? NoConnection : Error
      troubles.push(new Kind(`${server}: ${(error as Error).message}`))
    }
  }
  const Kind = troubles.every((each) => each instanceof NoConnection) ? NoConnection : Error
  throw new Kind(troubles.map(({ message }) => message).join('; ') || 'there is no resolver')
}

/** One type that fails leaves the others, where they tell something. */
async function askServer(server: string, name: string, types: readonly TypeName[]): Promise<Reply[]> {
  const questions = questionsFor(name, types)
  const answers = await new TcpResolver(server).ask(questions)
  const replies: Reply[] = []
  let trouble: unknown
  for (const question of questions) {
    try {
      replies.push(readReply(answers.get(question), question))
    } catch (error) {
      trouble = error
    }
  }
  const isTold = replies.some(({ hosts, targets }) => hosts.length + targets.length > 0)
  if (trouble !== undefined && !isTold) throw trouble
  return replies
}

/** With a number for each, as they are under way on one connection. */
function questionsFor(name: string, types: readonly TypeName[]): Question[] {
  const first = randomInt(0x10000)
  return types.map((type, i) => ({ id: (first + i) & 0xffff, name, type: TYPES[type] }))
}

const NOTHING: AnswerContent = { hosts: [], targets: [], aliases: [], ttl: TTL_AT_MOST }

/** That there is nothing is an answer as well. @throws Error: a failure of the resolver */
function readReply(bytes: Uint8Array | undefined, question: Question): Reply {
  if (bytes === undefined) throw new Error('it answers only a part of the questions')
  const message = messageOf(bytes)
  if (message === undefined) throw new Error('its answer is malformed, cut off, or far too long')
  const { rcode, answers } = message
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') throw new Error(`it answers ${rcode}`)
  return { ...(readAnswer(bytes, question) ?? NOTHING), hasRecords: answers.length > 0 }
}
