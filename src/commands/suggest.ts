import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { PolicyTrial } from '../analysis/recorded/policy-trial.js'
import { type HostSuggestion, mergeHosts } from '../analysis/suggest/merge-hosts.js'
import { readSuggestion } from '../analysis/suggest/read-suggestion.js'
import { Suggester } from '../analysis/suggest/suggestion.js'
import { jsonOf } from '../analysis/suggest/suggestion-json.js'
import { yamlOf } from '../analysis/suggest/suggestion-yaml.js'
import type { Config } from '../config/config.js'
import { resolverNotes } from '../host/infrastructure-notes.js'
import { knownPolicy } from '../policy/offline-policy.js'
import { withRuntimeEntries } from '../policy/overlay.js'
import { readRuntimeEntries } from '../policy/runtime-entries-file.js'
import { sourceOf } from '../records/block-log/source.js'
import { createUsers } from '../system/users.js'
import {
  type Command,
  configOrComplaint,
  has,
  type Invocation,
  optionOf,
  say,
  UsageError,
} from './command.js'
import { choiceOf, eachBlock, sinceOf, userOf } from './log-options.js'

export const suggest: Command = {
  name: 'suggest',
  synopsis: '[OPTION]... [FILE|-] | --merge [--json] FILE...',
  summary: 'suggest allow entries, from recorded blocks',
  details: `Prints entries for \`allow\`, in YAML that check accepts: as few as possible, and
nothing in them that was not recorded. What is allowed by now is left out. What
looks like a worm is listed apart, as a comment. Read the entries before you use
them.

  --since T          only blocks since then: 10m, 2h, 3d, today,
                     2026-11-26T18:00
  --user U           only blocks of this user, by name or number
  --unit X           only blocks of this systemd unit: nginx.service, or nginx
  --json             output for programs
  FILE, -            another log, or standard input (default: the log of the
                     configuration, with its rotated files)
  --merge            put the suggestions of several hosts together: each FILE is
                     what suggest --json printed on a host, named HOST.json.
                     Each entry says on how many hosts it is needed`,
  examples: [
    'checkvalve suggest --since 1d',
    'checkvalve suggest > /etc/checkvalve/conf.d/suggested.yaml && checkvalve check',
    'journalctl -u checkvalve -o cat | checkvalve suggest -',
    'checkvalve suggest --merge web1.json web2.json > policy/web.yaml',
  ],
  options: {
    since: { type: 'string' },
    user: { type: 'string' },
    unit: { type: 'string' },
    json: { type: 'boolean' },
    merge: { type: 'boolean' },
  },
  words: Number.POSITIVE_INFINITY,
  async run(given: Invocation): Promise<number> {
    if (has(given, 'merge')) return merge(given)
    if (given.words.length > 1)
      throw new UsageError(
        `suggest reads one log, not ${given.words.length}; --merge reads what hosts suggest`,
      )
    const wanted = {
      since: sinceOf(given, Date.now()) ?? 0,
      user: userOf(given),
      unit: optionOf(given, 'unit'),
    }
    const config = configOrComplaint(given)
    if (!config) return 1
    const source = sourceOf(given.words[0], () => config.log.destination, 'suggest')
    const { suggester, notes } = suggesterFor(config)
    await eachBlock(source, wanted, (block) => suggester.note(block))
    const suggestion = suggester.suggest()
    const from = `${source.path ?? 'standard input'}${choiceOf(given)}`
    return say(has(given, 'json') ? jsonOf(suggestion, notes) : yamlOf(suggestion, from, notes))
  },
}

/** Merges the suggestions of hosts. No configuration is read: each host has judged by its own. */
function merge(given: Invocation): number {
  const chosen = ['since', 'user', 'unit'].find((name) => optionOf(given, name) !== undefined)
  if (chosen !== undefined) throw new UsageError(`--${chosen} is for the hosts: give it to suggest there`)
  if (given.words.length === 0) throw new UsageError('--merge needs the files of the hosts')
  const { suggestion, notes } = mergeHosts(given.words.map(hostSuggestion))
  const from = `the logs of ${suggestion.hosts} ${suggestion.hosts === 1 ? 'host' : 'hosts'}`
  return say(has(given, 'json') ? jsonOf(suggestion, notes) : yamlOf(suggestion, from, notes))
}

/** @throws Error when the file cannot be read, or has something else */
function hostSuggestion(path: string): HostSuggestion {
  const read = readSuggestion(basename(path, '.json'), readFileSync(path, 'utf8'))
  if (typeof read !== 'string') return read
  throw new Error(`${path} is not what checkvalve suggest --json prints: ${read}`)
}

/**
 * Makes the suggester, and says what is not known of this host's resolvers: their queries look like any
 * others. Runtime entries without an end count as allowed. The operator decides whether to make the others
 * permanent.
 */
function suggesterFor(config: Config): { suggester: Suggester; notes: readonly string[] } {
  const users = createUsers()
  const now = Date.now()
  const staying = readRuntimeEntries(config.state.directory, users.idOf).filter(
    ({ expires }) => expires === undefined,
  )
  const { policy, host } = knownPolicy(withRuntimeEntries(config, staying, now))
  const suggester = new Suggester({
    config,
    policy,
    judge: new PolicyTrial(policy, now),
    resolverUsers: host.resolverUsers,
    nameUser: (uid, logged) => {
      const name = users.nameOf(uid) ?? logged
      return name !== undefined && users.idOf(name) === uid ? name : uid
    },
  })
  return { suggester, notes: resolverNotes(config, host) }
}
