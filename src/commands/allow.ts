import { ask, Refused } from '../control/client.js'
import type { Changed, EntryChanged, EntryList } from '../control/routes/runtime.js'
import { createUsers } from '../system/users.js'
import { jsonText } from '../text/terminal-safe.js'
import {
  type Command,
  has,
  type Invocation,
  note,
  optionOf,
  say,
  socketOrComplaint,
  UsageError,
} from './command.js'
import { allowedBy, entriesLines } from './entries-text.js'
import { WIDTH, wrap } from './terminal.js'

const PATH = '/v1/allow'

export const allow: Command = {
  name: 'allow',
  synopsis: 'add NAME --to DEST... | remove NAME | list',
  summary: 'add, remove or list runtime entries',
  details: `A runtime entry is a rule like those below \`allow\` in the configuration. It is
in force at once, and survives reloads and restarts until it expires or is
removed. Its live connections are cut then.

add NAME
  --to DEST          a name, a wildcard, an address or a prefix; several: a,b
  --ports PORTS      e.g. 443,8000-8080 (default: all)
  --protocol P       tcp (default), udp, icmp or any
  --user U           only for this user, by name or number; several: a,b
  --unit X           only for this systemd unit, e.g. nginx.service
  --when-silent W    while the service is silent: users, closed or open
  --ttl TIME         expires after this time: 30m, 2h, 7d (default: never)
  --replace          replace the entry of that name
list
  --json             output for programs
  --names            names only, one a line`,
  examples: [
    'checkvalve allow add payments --to api.example.org --ports 443 --user www-data',
    'checkvalve allow add debug --to 203.0.113.0/24 --ttl 2h',
    'checkvalve allow remove payments',
  ],
  options: {
    to: { type: 'string', multiple: true },
    ports: { type: 'string', multiple: true },
    protocol: { type: 'string' },
    user: { type: 'string', multiple: true },
    unit: { type: 'string', multiple: true },
    'when-silent': { type: 'string' },
    ttl: { type: 'string' },
    replace: { type: 'boolean' },
    json: { type: 'boolean' },
    names: { type: 'boolean' },
  },
  words: 2,
  async run(given: Invocation): Promise<number> {
    const [verb = '', name] = given.words
    const { run, needsName, options } = verbOf(verb)
    if (needsName && name === undefined) throw new UsageError(`allow ${verb} needs a name`)
    if (!needsName && name !== undefined) throw new UsageError(`allow ${verb} takes no name: ${name}`)
    const odd = Object.keys(given.options).find((option) => !options.includes(option))
    if (odd !== undefined) throw new UsageError(`--${odd} is not for allow ${verb}`)
    const socket = socketOrComplaint(given)
    return socket === undefined ? 1 : run(socket, given, name ?? '')
  },
}

interface Verb {
  readonly needsName: boolean
  readonly options: readonly string[]
  run(socket: string, given: Invocation, name: string): Promise<number>
}

const VERBS: ReadonlyMap<string, Verb> = new Map([
  [
    'add',
    {
      needsName: true,
      options: ['to', 'ports', 'protocol', 'user', 'unit', 'when-silent', 'ttl', 'replace'],
      run: add,
    },
  ],
  ['remove', { needsName: true, options: [], run: remove }],
  ['list', { needsName: false, options: ['json', 'names'], run: list }],
])

function verbOf(verb: string): Verb {
  const found = VERBS.get(verb)
  if (found !== undefined) return found
  throw new UsageError(
    verb === '' ? 'allow needs add, remove or list' : `allow has no ${verb}: use add, remove or list`,
  )
}

async function add(socket: string, given: Invocation, name: string): Promise<number> {
  if (listOf(given, 'to') === undefined) throw new UsageError('allow add needs --to')
  const body = {
    name,
    to: listOf(given, 'to'),
    ports: listOf(given, 'ports'),
    protocol: optionOf(given, 'protocol'),
    users: listOf(given, 'user')?.map(numbered),
    units: listOf(given, 'unit'),
    whenSilent: optionOf(given, 'when-silent'),
    ttl: optionOf(given, 'ttl'),
  }
  const method = has(given, 'replace') ? 'PUT' : 'POST'
  const { entry, notes } = await ask<EntryChanged>(socket, method, PATH, body).catch(explain)
  const time = body.ttl === undefined ? 'until it is removed' : `for ${body.ttl}`
  sayWrapped(`${name} is in force ${time}: ${allowedBy(entry)}`)
  return note(notes)
}

async function remove(socket: string, _: Invocation, name: string): Promise<number> {
  const { notes } = await ask<Changed>(socket, 'DELETE', `${PATH}?${new URLSearchParams({ name })}`)
  sayWrapped(`${name} is removed; connections that nothing else allows are cut`)
  return note(notes)
}

async function list(socket: string, given: Invocation): Promise<number> {
  const { entries } = await ask<EntryList>(socket, 'GET', PATH)
  if (has(given, 'json')) return say(jsonText(entries, 2))
  if (has(given, 'names')) return entries.length === 0 ? 0 : say(entries.map(({ name }) => name).join('\n'))
  if (entries.length === 0)
    return say('no runtime entries; checkvalve show-config lists those of the configuration')
  return say(entriesLines(entries, Date.now()).join('\n'))
}

/** Returns the values of an option that may be given more than once, each a list: `--to a,b --to c`. */
function listOf({ options }: Invocation, name: string): string[] | undefined {
  const given = options[name] as string[] | undefined
  const all = given?.flatMap((each) => each.split(',')).map((each) => each.trim())
  return all && [...new Set(all)]
}

/**
 * Translates a user name here: the service does not ask name services. An unknown name is left for the
 * service to refuse.
 */
const numbered = (user: string): string | number => createUsers().idOf(user) ?? user

const OPTIONS: Readonly<Record<string, string>> = {
  name: 'NAME',
  to: '--to',
  ports: '--ports',
  protocol: '--protocol',
  users: '--user',
  units: '--unit',
  whenSilent: '--when-silent',
  ttl: '--ttl',
}

/** Turns a refused value into a usage error that names its option. */
function explain(error: Error): never {
  const problem = error instanceof Refused ? error.problems[0] : undefined
  if (problem === undefined) throw error
  const field = /^\w+/.exec(problem.key)?.[0] ?? ''
  throw new UsageError(`${OPTIONS[field] ?? problem.key}: ${problem.reason}`)
}

const sayWrapped = (text: string) => say(wrap(text, WIDTH).join('\n'))
