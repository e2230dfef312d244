/**
 * Finds the origin of a rule: a line of the configuration, or of a file of this host that the service reads
 * by itself.
 */
import { setImmediate } from 'node:timers/promises'
import type { Address, Destination } from '../../core/packet/ip.js'
import { PrefixSet } from '../../core/packet/prefix-set.js'
import type { Origin } from '../../core/policy/origin.js'
import { originText } from '../../core/policy/origin.js'
import type { Rule } from '../../core/policy/rule.js'
import { parseDestination } from '../../text/parse-address.js'
import type { ExplainContext } from './context.js'

/** The destination of a packet, as far as rules can name it. */
export interface Goal {
  readonly host: Address
  readonly port: number | undefined
  /** The name whose look-up gave the address. */
  readonly name: string | undefined
}

/** A destination with the place where it is written. */
interface Written {
  readonly place: Destination
  readonly origin: Origin
  /** The package manager that the file belongs to. */
  readonly manager?: string
}

/** Returns a text like `/etc/apt/sources.list:2, apt`, or the setting that the rule follows from. */
export async function originOf({ spec }: Rule, goal: Goal, world: ExplainContext): Promise<string> {
  if (spec.reason === 'dhcp') return 'infrastructure.dhcp'
  if (spec.reason === 'rule') return spec.origin === undefined ? 'the configuration' : originText(spec.origin)
  const { infrastructure } = world.config
  if (spec.reason === 'resolver' && infrastructure.dns !== 'auto') return 'infrastructure.dns'
  if (spec.reason === 'time' && infrastructure.ntp !== 'auto') return 'infrastructure.ntp'
  const known = { ...goal, name: goal.name ?? (await nameOf(goal.host, world)) }
  const places = placesOf(spec, known, world)
  const found = places.find(({ place }) => leadsTo(place, known)) ?? places[0]
  if (found === undefined) return 'the files of this host'
  return originText(found.origin) + (found.manager === undefined ? '' : `, ${found.manager}`)
}

/**
 * Returns all destinations in the configuration or in files of the host that rules of this kind are made
 * from.
 */
function placesOf({ reason, name, isFromSrv }: Rule['spec'], goal: Goal, world: ExplainContext): Written[] {
  const { config, mirrors, knowledge, infrastructure } = world
  const prefix = (value: Address & { length: number }): Destination => ({ kind: 'prefix', prefix: value })
  if (reason === 'resolver') {
    const { resolvers, upstreams } = infrastructure()
    return [
      ...resolvers.map(({ value, origin }) => ({ place: prefix(value), origin })),
      ...upstreams.map(({ value, origin }) => ({ place: value.place, origin })),
    ]
  }
  if (reason === 'time') {
    const { timeServers, timeTlsServers } = infrastructure()
    return [...timeServers, ...timeTlsServers].map(({ value, origin }) => ({ place: value, origin }))
  }
  if (name === 'mirrors') return config.mirrors.hosts.map((place) => ({ place, origin: place.origin }))
  return mirrors.flatMap(({ host, port, service, manager, origin }) => {
    const targets = isFromSrv && service !== undefined ? knowledge.targets(service) : []
    const ends = isFromSrv ? targets.map((each) => ({ host: each.name, port: each.port })) : [{ host, port }]
    return ends
      .filter((each) => each.port === goal.port)
      .flatMap((each) => {
        const place = parseDestination(each.host)
        return place.ok ? [{ place: place.value, origin, manager }] : []
      })
  })
}

function leadsTo(place: Destination, { host, name }: Goal): boolean {
  if (place.kind === 'prefix') return PrefixSet.of([place.prefix]).has(host.family, host.words)
  if (name === undefined) return false
  return place.kind === 'name' ? place.name === name : name.endsWith(`.${place.domain}`)
}

/** Number of names that are searched without a pause; then packets have their turn. */
const SLICE = 250

/** Finds a known name of an address. */
async function nameOf(
  { family, words }: Address,
  { knowledge }: ExplainContext,
): Promise<string | undefined> {
  const isIt = (host: Address) => host.family === family && host.words.every((word, i) => word === words[i])
  for (const [index, name] of knowledge.names().entries()) {
    if (index % SLICE === SLICE - 1) await setImmediate()
    if (knowledge.addresses(name).some(({ host }) => isIt(host))) return name
  }
  return undefined
}
