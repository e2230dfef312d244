/** Makes suggestions from logs that a test writes, on a fixed host. */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Test } from 'tap'
import { PolicyTrial } from '../../../src/analysis/recorded/policy-trial.js'
import { Suggester, type Suggestion } from '../../../src/analysis/suggest/suggestion.js'
import type { Config } from '../../../src/config/config.js'
import type { Policy } from '../../../src/core/policy/policy.js'
import type { HostFacts } from '../../../src/host/host-facts.js'
import { buildPolicy } from '../../../src/policy/build-policy.js'
import { readLine } from '../../../src/records/block-log/event-reader.js'
import { configOf, loadText, nameOf } from '../../config/files.js'
import { words } from '../../core/packets.js'
import { BEGIN, type Event, lineOf } from '../../records/block-log/events.js'

process.env.TZ = 'UTC'

export const RESOLVER = '198.51.100.53'
export const RESOLVER_UID = 101

export const ROOT = { user: 'root', uid: 0 }
export const ENFORCED = `mode: enforce\ndns: { enforceNames: true }\n`
/** Returns a line of the log about a DNS query for a name that is not allowed. */
export const asked = (question: string, event: Event = {}) =>
  lineOf({ to: RESOLVER, port: 53, transport: 'udp', reason: 'name-not-allowed', question, ...event })
export const names = (entries: readonly { name: string }[]) => entries.map(({ name }) => name)

export const HOST: HostFacts = {
  name: 'web.example.org',
  ephemeralPorts: { first: 32768, last: 60999 },
  mirrors: [],
  resolvers: [{ family: 4, words: words(RESOLVER), length: 32 }],
  timeServers: [],
  timeTlsServers: [],
  upstreams: [],
  ndots: 1,
  resolverNotes: [],
  updateUsers: [],
  searchDomains: [],
  dhcpUsers: [0],
  timeUsers: [0],
  resolverUsers: [RESOLVER_UID],
}

export const policyFor = (config: Config): Policy =>
  buildPolicy(config, HOST, { targets: () => [], isWayTo: () => false })

/** Makes a suggestion. @param lines lines of the log @param yaml the configuration */
export function suggested(t: Test, lines: readonly string[], yaml = 'mode: enforce\n'): Suggestion {
  const config = configOf(loadText(t, yaml))
  const policy = policyFor(config)
  const suggester = new Suggester({
    config,
    policy,
    judge: new PolicyTrial(policy, BEGIN),
    resolverUsers: HOST.resolverUsers,
    nameUser: (uid) => nameOf(uid) ?? uid,
  })
  for (const text of lines) {
    const line = readLine(text)
    if (line?.kind === 'block') suggester.note(line)
  }
  return suggester.suggest()
}

/** Compares a text with a file of test/golden; UPDATE_GOLDEN=1 writes it. */
export function sameAsGolden(t: Test, name: string, text: string): void {
  const path = new URL(`../../../../test/golden/${name}`, import.meta.url)
  if (process.env.UPDATE_GOLDEN) writeFileSync(path, `${text}\n`)
  t.equal(text, readFileSync(path, 'utf8').trimEnd(), name)
}
