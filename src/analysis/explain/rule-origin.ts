/** Where a rule comes from: a line of the configuration, or of a file of this host that the service reads by itself. */
import { setImmediate } from 'node:timers/promises'
import type { Address, Destination } from '../../core/packet/ip.js'
import { PrefixSet } from '../../core/packet/prefix-set.js'
import type { Origin } from '../../core/policy/origin.js'
import { originText } from '../../core/policy/origin.js'
import type { Rule } from '../../core/policy/policy.js'
import { parseDestination } from '../../text/parse-address.js'
import type { ExplainContext } from './context.js'

/** What a packet goes to, as far as rules can name it. */
export interface Goal {
  readonly host: Address
  readonly port: number | undefined
  /** The name by which it was asked for. */
  readonly name: string | undefined
}

/** A place that is written somewhere. */
interface Written {
  readonly place: Destination
  readonly origin: Origin
  /** The package manager whose file it is. */
  readonly manager?: string
}

/** Texts like `/etc/apt/sources.list:2, apt`, or the setting that it follows from. */
export async function whence({ spec }: Rule, goal: Goal, world: ExplainContext): Promise<string> {
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

/** All that is written for rules of this kind. */
function placesOf({ reason, name, isFromSrv }: Rule['spec'], goal: Goal, world: ExplainContext): Written[] {
  const { config, mirrors, knowledge, infrastructure } = world
  const prefix = (value: Address & { length: number }): Destination => ({ kind: 'prefix', prefix: value })
  if (reason === 'resolver')
    return infrastructure().resolvers.map(({ value, origin }) => ({ place: prefix(value), origin }))
  if (reason === 'time')
    return infrastructure().timeServers.map(({ value, origin }) => ({ place: value, origin }))
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

/** So many names are looked through in one go: then packets have their turn. */
const SLICE = 250

/** A name that is known to have an address. */
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
