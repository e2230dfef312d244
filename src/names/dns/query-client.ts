/** Sends the service's own queries to the host's resolvers over TCP, and reads the answers. */
import { randomInt } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import type { Question } from '../../core/dns/question.js'
import { type AnswerContent, messageOf, readAnswer, TTL_AT_MOST } from './answer-reader.js'
import { NoConnection, TcpResolver, TYPES, type TypeName } from './tcp-resolver.js'

export interface Reply extends AnswerContent {
  /** Whether the answer had records, even if none was kept. */
  readonly hasRecords: boolean
}

/** The C library asks as many resolvers: MAXNS of resolv.conf(5). */
const SERVERS_AT_MOST = 3

/**
 * Asks the resolvers of resolv.conf one after the other, until one of them answers (that there are no records
 * is an answer). @throws Error (rejects) when none does; NoConnection when none takes a TCP connection
 */
export async function ask(name: string, types: readonly TypeName[]): Promise<Reply[]> {
  const troubles: Error[] = []
  // A new Resolver for each look-up, so that a changed resolv.conf counts.
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

/** Asks one resolver. The failure of one type counts only when no other type has a result. */
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
  const hasResult = replies.some(({ hosts, targets }) => hosts.length + targets.length > 0)
  if (trouble !== undefined && !hasResult) throw trouble
  return replies
}

/** Gives each query an ID of its own, since all are sent on one connection. */
function questionsFor(name: string, types: readonly TypeName[]): Question[] {
  const first = randomInt(0x10000)
  return types.map((type, i) => ({ id: (first + i) & 0xffff, name, type: TYPES[type] }))
}

const NOTHING: AnswerContent = { hosts: [], targets: [], aliases: [], ttl: TTL_AT_MOST }

/** Reads one answer; no records are an answer as well. @throws Error for a failure of the resolver */
function readReply(bytes: Uint8Array | undefined, question: Question): Reply {
  if (bytes === undefined) throw new Error('it answers only a part of the questions')
  const message = messageOf(bytes)
  if (message === undefined) throw new Error('its answer is malformed, cut off, or far too long')
  const { rcode, answers } = message
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') throw new Error(`it answers ${rcode}`)
  return { ...(readAnswer(bytes, question) ?? NOTHING), hasRecords: answers.length > 0 }
}
