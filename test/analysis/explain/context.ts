/** Makes a context for queries: a configuration in text, and knowledge of the host, all given by the test. */

import type { Test } from 'tap'
import { answerQuestion } from '../../../src/analysis/explain/answer.js'
import type { ExplainContext } from '../../../src/analysis/explain/context.js'
import type { Explained } from '../../../src/analysis/explain/explanation.js'
import { type Fields, readQuery } from '../../../src/analysis/explain/query.js'
import type { Address } from '../../../src/core/packet/ip.js'
import { placedInfrastructure, readInfrastructure } from '../../../src/host/infrastructure.js'
import type { Mirror } from '../../../src/host/mirrors/mirror.js'
import { buildPolicy } from '../../../src/policy/build-policy.js'
import { parseAddress } from '../../../src/text/parse-address.js'
import { configOf, directoryOf, loadFrom, nameOf } from '../../config/files.js'
import { clients, EPHEMERAL_PORTS } from '../../core/clients.js'

process.env.TZ = 'UTC'

export const NOW = Date.UTC(2027, 0, 1)

export interface Given {
  /** The addresses of names, and the aliases that led to them. */
  readonly known?: Readonly<Record<string, readonly string[]>>
  readonly former?: Readonly<Record<string, readonly string[]>>
  readonly mirrors?: readonly Mirror[]
  /** The host and port that SRV look-ups returned. */
  readonly targets?: Readonly<Record<string, { name: string; port: number }>>
  /** Files below /etc of the host. */
  readonly etc?: Readonly<Record<string, string>>
  readonly more?: Partial<ExplainContext>
}

export function host(text: string): Address {
  const parsed = parseAddress(text)
  if (!parsed.ok) throw new Error(text)
  return parsed.value
}

/** Makes a context. Its configuration is `main.yaml`. */
export function world(
  t: Test,
  yaml: string,
  given: Given = {},
): ExplainContext & { readonly directory: string } {
  const { known = {}, former = {}, mirrors = [], targets = {}, etc = {}, more } = given
  const directory = directoryOf(t, {
    'main.yaml': yaml,
    ...Object.fromEntries(Object.entries(etc).map(([name, text]) => [`root/etc/${name}`, text])),
  })
  const config = configOf(loadFrom(directory))
  const root = `${directory}/root`
  const infrastructure = readInfrastructure(root, (name) => (name === 'root' ? 0 : undefined))
  const targetsOf = (service: string) => (targets[service] ? [targets[service]] : [])
  const policy = buildPolicy(
    config,
    { ...infrastructure, name: 'web1', ephemeralPorts: EPHEMERAL_PORTS, mirrors, updateUsers: [] },
    { targets: targetsOf, isWayTo: () => false },
  )
  for (const [set, all] of Object.entries({ addresses: known, formerAddresses: former }) as [
    'addresses' | 'formerAddresses',
    typeof known,
  ][])
    for (const [name, addresses] of Object.entries(all))
      for (const rule of policy.names.find(name)) for (const each of addresses) rule[set].add(host(each))
  return {
    directory,
    source: 'service',
    isQuarantined: () => false,
    config,
    policy,
    mirrors,
    infrastructure: () => placedInfrastructure(root),
    knowledge: {
      targets: targetsOf,
      addresses: (name) => (known[name] ?? []).map((each) => ({ host: host(each), expires: NOW + 60_000 })),
      names: () => Object.keys(known),
    },
    seenName: () => undefined,
    inbound: clients(),
    userName: nameOf,
    slicesOf: (unit) => (unit === 'cron.service' ? ['system.slice'] : []),
    isLocal: ({ family, words }) => family === 4 && words[0]! >>> 24 === 127,
    sourceFor: async () => host('192.0.2.1').words,
    now: NOW,
    ...more,
  }
}

/** Asks about a packet. @throws Error when there is no answer */
export async function ask(
  world: ExplainContext,
  protocol: string,
  to: string,
  more: Fields = {},
): Promise<Explained> {
  const question = readQuery({ protocol, to, ...more })
  if (!question.ok) throw new Error(question.reason)
  const answer = await answerQuestion(question.value, world)
  if (!answer.ok) throw new Error(answer.reason)
  return answer.value
}
