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
  summary: 'show if a packet passes, by which rule, or what would allow it',
  details: `HOST is an address ([2001:db8::7]:443 too) or a name; all addresses of a name
that are known now are judged. The exit status is 0 when the rules let the
packet pass, and 1 when it is or would be blocked. Nothing is sent, looked up,
counted or logged. The running service answers. With --config or --offline the
configuration answers, with addresses and runtime entries of an earlier run.
  --user U           the sender, by name or number (default: a user of no rule)
  --unit X           the systemd unit of the sender, e.g. nginx.service
  --from-port P      the source port, for an answer to a client
  --question NAME    the name in a DNS query to a resolver
  --offline          do not ask the running service
  --json             output for programs`,
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
    throw new UsageError('explain needs a protocol and a destination: explain tcp 192.0.2.7:443')
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
    throw new Error(`${(error as Error).message}; --offline answers from the configuration alone`)
  }
}
