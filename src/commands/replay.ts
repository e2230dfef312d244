import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Replay } from '../analysis/replay/replay.js'
import { replayJson } from '../analysis/replay/replay-json.js'
import type { Config } from '../config/config.js'
import { ask } from '../control/client.js'
import { knownPolicy } from '../policy/offline-policy.js'
import { withRuntimeEntries } from '../policy/overlay.js'
import { readRuntimeEntries } from '../policy/runtime-entries-file.js'
import { PASSED_FILE } from '../records/accepted-flows-file.js'
import { type AcceptedFlowRow, forgottenOf, passedOf } from '../records/accepted-flows-format.js'
import { sourceOf } from '../records/block-log/source.js'
import { createUsers } from '../system/users.js'
import { grouped } from '../text/prose.js'
import { paintFor } from './colours.js'
import {
  type Command,
  configOrComplaint,
  has,
  type Invocation,
  optionOf,
  say,
  UsageError,
} from './command.js'
import { eachBlock, sinceOf } from './log-options.js'
import { replayText } from './replay-text.js'

export const replay: Command = {
  name: 'replay',
  synopsis: '--policy FILE [--since T] [--json] [LOGFILE|-]',
  summary: 'show what another configuration would change, from records',
  details: `Judges records by FILE, a whole configuration: what was blocked (from the block
log) and what was accepted (the service remembers the last 4,096 kinds of
packets). The exit status is 1 when FILE cannot be used, or would block
something that was accepted. --config names the log and the service.

  --policy FILE      the configuration to try
  --since T          only records since then: 10m, 2h, 3d, today,
                     2026-11-26T18:00
  --json             output for programs, with all kinds of packets
  LOGFILE, -         another log, or standard input`,
  examples: [
    'cp -r /etc/checkvalve new; checkvalve suggest > new/conf.d/more.yaml',
    'checkvalve replay --policy new/checkvalve.yaml --since 1d',
  ],
  options: { policy: { type: 'string' }, since: { type: 'string' }, json: { type: 'boolean' } },
  words: 1,
  async run(given: Invocation): Promise<number> {
    const path = optionOf(given, 'policy')
    if (path === undefined) throw new UsageError('replay needs the configuration to try: --policy FILE')
    const now = Date.now()
    const since = sinceOf(given, now) ?? 0
    const config = configOrComplaint(given)
    const candidate = config && configOrComplaint({ path, set: given.set })
    if (!config || !candidate) return 1
    const source = sourceOf(given.words[0], () => config.log.destination, 'replay --policy FILE')
    const { policy, missing } = policyBeside(config, candidate, now)
    const replaying = new Replay(policy, now)
    await eachBlock(source, { since }, (block) => replaying.note(block))
    const known = await readAccepted(config)
    const replayed = replaying.result(known.passed?.filter(({ last }) => last >= since))
    const unknown = missing.filter((name) => !replaying.knows(name))
    const notes = notesOn(candidate, unknown, known.forgotten)
    const texts = { policy: path, log: source.path ?? 'standard input', passed: known.from, notes }
    const isJson = has(given, 'json')
    say(isJson ? replayJson(replayed, texts) : replayText(replayed, texts, paintFor(process.stdout)))
    return (replayed.passed?.block.count ?? 0) > 0 ? 1 : 0
  },
}

/**
 * Builds the candidate's policy as the service would: with the addresses that it learned, and its runtime
 * entries.
 */
function policyBeside({ state }: Config, candidate: Config, now: number) {
  const kept = readRuntimeEntries(state.directory, createUsers().idOf)
  return knownPolicy({ ...withRuntimeEntries(candidate, kept, now), state })
}

const notesOn = ({ mode }: Config, unknown: readonly string[], forgotten: number): string[] => [
  ...(mode === 'observe' ? ['its mode is observe: it would block nothing, only record'] : []),
  ...(unknown.length > 0 ? [`no address is known here for ${unknown.join(', ')}`] : []),
  ...(forgotten > 0
    ? [`not all accepted packets are tried: ${grouped(forgotten)} kinds of them were forgotten`]
    : []),
]

interface KnownPassed {
  readonly passed: AcceptedFlowRow[] | undefined
  /** Kinds of accepted packets that the service has forgotten. */
  readonly forgotten: number
  readonly from: string
}

/** Reads what was accepted: from the running service, or from the file that it keeps. */
async function readAccepted({ control, state }: Config): Promise<KnownPassed> {
  const knownBy = (status: unknown, from: string) => ({
    passed: passedOf(status),
    forgotten: forgottenOf(status),
    from,
  })
  try {
    return knownBy(await ask(control.socket, 'GET', '/v1/passed'), 'by the running service')
  } catch (error) {
    const path = join(state.directory, PASSED_FILE)
    try {
      return knownBy(JSON.parse(readFileSync(path, 'utf8')), `by ${path}`)
    } catch {
      const from = `What was accepted is not known: ${(error as Error).message}.`
      return { passed: undefined, forgotten: 0, from }
    }
  }
}
