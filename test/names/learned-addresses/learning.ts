/** Makes LearnedAddresses with a clock, a kernel and resolvers of the test, and short forms of its calls. */

import type { Test } from 'tap'
import { assemble, compile, type Policy } from '../../../src/core/policy/policy.js'
import type { Rule } from '../../../src/core/policy/rule.js'
import { UsedAddresses } from '../../../src/core/policy/used-addresses.js'
import type { HostChanges } from '../../../src/core/ruleset/ruleset.js'
import type { Asker } from '../../../src/names/confirmations.js'
import type { AnswerContent } from '../../../src/names/dns/answer-reader.js'
import { LearnedAddresses } from '../../../src/names/learned-addresses.js'
import type { LearnedOptions } from '../../../src/names/learned-options.js'
import { EPHEMERAL_PORTS } from '../../core/clients.js'
import { hosts, textOf } from '../addresses.js'
import { Clock } from '../clock.js'
import { A, asked, questionOf } from '../dns/answers.js'
import { dnsError, Zone } from '../dns/zone.js'

export const NAME = 'mirror.example.org'
export const OTHER = 'other.example.org'
export const SERVICE = '_http._tcp.mirror.example.org'
export const HOUR = 3600 * 1000
export const DAY = 24 * HOUR
export const SETTINGS = { resolve: true, grace: 300 }
export const HOST_TIMEOUT = 86_400

/** Makes a policy with one rule for each list of names; `*.example.org` means all names below. */
export const policyOf = (...lists: readonly (readonly string[])[]): Policy =>
  policyFor(...lists.map((list) => ({ list })))

/** Makes a policy with one rule for each list of names and its users. */
export function policyFor(
  ...rulesFor: readonly { list: readonly string[]; users?: readonly number[] }[]
): Policy {
  const rules = rulesFor.map(({ list, users }, i) =>
    compile({
      reason: 'mirror',
      name: `rule ${i}`,
      protocol: 'tcp',
      ports: [],
      users,
      prefixes: [],
      names: list.filter((name) => !name.startsWith('*')),
      domains: list.filter((name) => name.startsWith('*')).map((name) => name.slice(2)),
    }),
  )
  return assemble({
    mode: 'enforce',
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    transparentUsers: [],
    sparedUsers: [0],
    trustedUsers: [0, 990],
    rules,
    queryPolicy: undefined,
  })
}

/** Makes LearnedAddresses with a kernel, a log and resolvers that the test controls. */
export function learning(t: Test, { directory = t.testdir(), ...options }: Partial<LearnedOptions> = {}) {
  const clock = Clock.install(t)
  const zone = Zone.install(t)
  const state = {
    directory,
    clock,
    zone,
    sent: [] as ReadonlyMap<Rule, HostChanges>[],
    warnings: [] as string[],
    errors: [] as string[],
    counts: { successes: 0, failures: 0 },
    targets: 0,
    kernel: async (): Promise<void> => {},
    busy: false,
    learned: undefined as unknown as LearnedAddresses,
    /** Lets time pass, with a tick each second at the end, and each minute before. */
    pass: async (ms: number) => {
      for (let left = ms; left > 0; left -= 60_000) {
        await clock.pass(Math.min(left, 60_000))
        await state.learned.tick()
      }
    },
  }
  state.learned = new LearnedAddresses({
    used: new UsedAddresses(0),
    directory,
    firewall: {
      changeHosts: (changes) => {
        state.sent.push(changes)
        return state.kernel()
      },
    },
    onLookedUp: () => void state.counts.successes++,
    onLookUpFailed: () => void state.counts.failures++,
    log: {
      warn: (text: string) => void state.warnings.push(text),
      error: (text: string) => void state.errors.push(text),
    } as unknown as LearnedOptions['log'],
    isBusy: () => state.busy,
    onTargets: async () => void state.targets++,
    hostTimeout: HOST_TIMEOUT,
    ...options,
  })
  t.teardown(() => state.learned.stop())
  return state
}
export type Learning = ReturnType<typeof learning>

export const reading = (texts: readonly string[], more: Partial<AnswerContent> = {}): AnswerContent => ({
  hosts: hosts(...texts),
  targets: [],
  aliases: [],
  ttl: 60,
  ...more,
})

export const ROOT: Asker = { uid: 0, trusted: true, isForgeable: false }
export const WWW_DATA: Asker = { uid: 33, trusted: false, isForgeable: true }

/** Passes an answer to a trusted or untrusted user. */
export const hear = (its: Learning, name: string, what: AnswerContent, trusted = true) =>
  hearAs(its, trusted ? ROOT : WWW_DATA, name, what)
export const hearAs = (its: Learning, asker: Asker, name: string, what: AnswerContent) =>
  its.learned.learn(questionOf(asked(name, A)), what, asker)

export const hostsOf = ({ rules }: Policy, rule = 0) => [...rules[rule]!.addresses].map(textOf).toSorted()
export const formerOf = ({ rules }: Policy, rule = 0) =>
  [...rules[rule]!.formerAddresses].map(textOf).toSorted()
/** Returns the changes of a rule that the kernel received, as `+198.51.100.1`. */
export const told = (its: Learning, { rules }: Policy, rule = 0) =>
  its.sent.flatMap((changes) => {
    const { added = [], removed = [] } = changes.get(rules[rule]!) ?? {}
    return [...added.map((each) => `+${textOf(each)}`), ...removed.map((each) => `-${textOf(each)}`)]
  })

/** Stops the service, and starts it again some time later with the same folder. */
export async function restarted(
  t: Test,
  its: Learning,
  policy: Policy,
  later = 0,
  services: readonly string[] = [],
  options: Partial<LearnedOptions> = {},
) {
  await its.learned.stop()
  const next = learning(t, { directory: its.directory, ...options })
  await next.clock.pass(its.clock.now() - next.clock.now() + later)
  next.zone.down = dnsError('ETIMEOUT')
  await next.learned.start(policy, services, SETTINGS)
  return next
}
