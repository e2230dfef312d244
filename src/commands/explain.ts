import { answerQuestion } from '../analysis/explain/answer.js'
import type { Explained } from '../analysis/explain/explanation.js'
import { fileContext } from '../analysis/explain/file-context.js'
import { type Fields, type Query, readQuery } from '../analysis/explain/query.js'
import { ask, Refused } from '../control/client.js'
import { explainPath } from '../control/routes/explain.js'
import { createUsers } from '../system/users.js'
import { jsonText } from '../text/terminal-safe.js'
import { paintFor } from './colours.js'
import {
  type Command,
  configOrComplaint,
  has,
  type Invocation,
  optionOf,
  say,
  socketOrComplaint,
  UsageError,
} from './command.js'
import { explainText } from './explain-text.js'

export const explain: Command = {
  name: 'explain',
  synopsis: 'tcp|udp|icmp HOST[:PORT] [OPTION]...',
  summary: 'whether something passes, by which rule, or what would let it',
  details: `HOST is an address ([2001:db8::7]:443 too) or a name, of which all addresses
that are known now are judged. Ends with 0 where the rules let it pass, and with
1 where it is or would be blocked. Nothing is sent, looked up, counted or
logged. The running service answers. With --config or --offline the
configuration does, with the addresses and runtime entries of an earlier run.
  --user U           who sends it, by name or number; else one of no rule
  --unit X           the systemd unit that sends it: nginx.service
  --from-port P      the port that it comes from: does it answer a client there?
  --question NAME    the name that a resolver is asked for
  --offline          do not ask the running service
  --json             the answer for programs`,
  examples: [
    'checkvalve explain tcp api.example.org:443 --user www-data',
    'checkvalve explain udp 192.0.2.53:53 --question api.example.org',
    'checkvalve explain tcp 192.0.2.7:443 --config /tmp/candidate.yaml',
  ],
  options: {
    user: { type: 'string' },
    unit: { type: 'string' },
    'from-port': { type: 'string' },
    question: { type: 'string' },
    offline: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  words: 2,
  async run(given: Invocation): Promise<number> {
    const fields = fieldsOf(given)
    const question = readQuery(fields)
    if (!question.ok) throw new UsageError(question.reason)
    const isOffline = given.isPathGiven || has(given, 'offline')
    const explained = isOffline ? await fromFile(question.value, given) : await fromService(fields, given)
    if (explained === undefined) return 1
    const options = { path: given.path, now: Date.now(), paint: paintFor(process.stdout) }
    say(has(given, 'json') ? jsonText(explained, 2) : explainText(explained, options))
    return explained.verdict === 'accept' ? 0 : 1
  },
}

function fieldsOf(given: Invocation): Fields {
  const [protocol, to] = given.words
  if (protocol === undefined || to === undefined)
    throw new UsageError('say the protocol and where to: explain tcp 192.0.2.7:443')
  const fields = {
    protocol,
    to,
    uid: uidOf(optionOf(given, 'user')),
    unit: optionOf(given, 'unit'),
    'from-port': optionOf(given, 'from-port'),
    question: optionOf(given, 'question'),
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

function uidOf(user: string | undefined): string | undefined {
  if (user === undefined) return undefined
  const uid = createUsers().idOf(user)
  if (uid === undefined) throw new UsageError(`there is no user ${JSON.stringify(user)} on this host`)
  return String(uid)
}

async function fromFile(question: Query, given: Invocation): Promise<Explained | undefined> {
  const config = configOrComplaint(given)
  if (config === undefined) return undefined
  const answer = await answerQuestion(question, fileContext(config))
  if (!answer.ok) throw new UsageError(answer.reason)
  return answer.value
}

async function fromService(fields: Fields, given: Invocation): Promise<Explained | undefined> {
  const socket = socketOrComplaint(given)
  if (socket === undefined) return undefined
  try {
    return await ask<Explained>(socket, 'GET', explainPath(fields))
  } catch (error) {
    if (error instanceof Refused && error.status === 400) throw new UsageError(error.message)
    if (error instanceof Refused) throw error
    throw new Error(`${(error as Error).message}; --offline asks the configuration alone`)
  }
}
