/** Answers requests that change the running service: runtime entries and the mode. */

import { rule } from '../../config/allow.js'
import type { AllowEntry, Config } from '../../config/config.js'
import { choice, duration, fieldsOf, text } from '../../config/formats.js'
import type { Format } from '../../config/location.js'
import type { WrittenRule } from '../../config/show.js'
import { silentNotes } from '../../config/silent-rules.js'
import { isExpired } from '../../core/policy/conditions.js'
import { infrastructureNotes } from '../../host/infrastructure-notes.js'
import { withEntry, withoutEntry, writtenEntries, writtenEntry } from '../../policy/overlay.js'
import type { PolicyInForce } from '../../policy/policy-in-force.js'
import type { RuntimeEntriesFile } from '../../policy/runtime-entries-file.js'
import type { ServiceLog } from '../../system/service-log.js'
import { createUsers, type UserLookup } from '../../system/users.js'
import { isMapping } from '../../text/json.js'
import { type ControlRequest, type Route, read } from '../router.js'

/** The answer to a change. `notes` are for the operator. */
export interface Changed {
  readonly notes: readonly string[]
}

export interface EntryChanged extends Changed {
  readonly entry: WrittenRule
}

export interface ModeChanged extends Changed {
  readonly mode: Config['mode']
  /** The mode in the configuration, which is in force again after a reload or a restart. */
  readonly configured: Config['mode']
}

export interface EntryList {
  readonly entries: readonly WrittenRule[]
}

export interface RuntimeOptions {
  readonly inForce: Pick<PolicyInForce, 'alter' | 'config' | 'configured' | 'overlay' | 'learned' | 'host'>
  readonly store: Pick<RuntimeEntriesFile, 'origin'>
  readonly userName: (uid: number) => string | undefined
  readonly log: Pick<ServiceLog, 'info' | 'warn'>
}

export function runtimeRoutes(options: RuntimeOptions): Route[] {
  const { inForce, userName } = options
  const path = '/v1/allow'
  return [
    {
      method: 'GET',
      path,
      handle: (): EntryList => ({ entries: writtenEntries(inForce.overlay, userName) }),
    },
    { method: 'POST', path, handle: (request) => addEntry(options, request, false) },
    { method: 'PUT', path, handle: (request) => addEntry(options, request, true) },
    { method: 'DELETE', path, handle: (request) => removeEntry(options, request) },
    { method: 'PUT', path: '/v1/mode', handle: (request) => setMode(options, request) },
  ]
}

async function addEntry(
  { inForce, store, userName, log }: RuntimeOptions,
  { body }: ControlRequest,
  replaces: boolean,
): Promise<EntryChanged> {
  // The command has translated user names: asking the name services (NSS) here would keep packets waiting.
  const { idOf } = createUsers({ getent: () => undefined })
  const entry = { ...read(newEntry(idOf, Date.now()), body), origin: store.origin }
  const trouble = await inForce.alter((overlay, configured) =>
    withEntry(overlay, configured, entry, replaces),
  )
  const shown = writtenEntry(entry, userName)
  log.info(`runtime entry ${entry.name} is in force: ${JSON.stringify(shown)}`)
  return { entry: shown, notes: [...notesOn(entry, inForce), ...lost(trouble)] }
}

async function removeEntry({ inForce, log }: RuntimeOptions, { query }: ControlRequest): Promise<Changed> {
  const { name } = read(onlyName, query)
  const trouble = await inForce.alter((overlay, configured) => withoutEntry(overlay, configured, name))
  log.info(`runtime entry ${name} was removed`)
  return { notes: lost(trouble) }
}

async function setMode({ inForce, log }: RuntimeOptions, { body }: ControlRequest): Promise<ModeChanged> {
  const { mode } = read(onlyMode, body)
  let configured = mode
  const trouble = await inForce.alter((overlay, config) => {
    configured = config.mode
    return { ...overlay, mode: mode === configured ? undefined : mode }
  })
  const until =
    mode === configured ? '' : `, until a reload or a restart: the configuration says ${configured}`
  log.warn(`mode was changed to ${mode} through the control socket${until}`)
  // What is not known of this host will be cut off from now on.
  const unknown = mode === 'enforce' ? infrastructureNotes(inForce.config, inForce.host.facts) : []
  return { mode, configured, notes: [...unknown, ...lost(trouble)] }
}

/** Reads a rule as in a file. It may have `ttl` (a time from now) instead of `expires`. */
const newEntry =
  (lookup: UserLookup, now: number): Format<AllowEntry> =>
  (value, place) => {
    const { ttl, ...rest } = isMapping(value) ? value : {}
    const entry = rule(lookup)(isMapping(value) ? rest : value, place)
    if (ttl === undefined)
      return entry && isExpired(entry, now) ? place.at('expires').fail('is in the past') : entry
    if ('expires' in rest) return place.at('ttl').fail('excludes expires: give only one of them')
    const seconds = duration('1s', '365d')(ttl, place.at('ttl'))
    return entry && seconds ? { ...entry, expires: now + Math.ceil(seconds * 1000) } : undefined
  }

const onlyName: Format<{ name: string }> = (value, place) => {
  const name = fieldsOf(value, place, ['name'])?.required(
    'name',
    text('a name', (written) => written),
  )
  return name === undefined ? undefined : { name }
}

const onlyMode: Format<{ mode: Config['mode'] }> = (value, place) => {
  const mode = fieldsOf(value, place, ['mode'])?.required('mode', choice('observe', 'enforce'))
  return mode && { mode }
}

function notesOn(entry: AllowEntry, { config, learned }: RuntimeOptions['inForce']): string[] {
  const names = entry.to.flatMap((place) => (place.kind === 'name' ? [place.name] : []))
  const unknown = names.filter((name) => learned.current(name).length === 0)
  const waiting = `no address of ${unknown.join(', ')} is known yet: the entry takes effect when a resolver answers with one`
  return [
    ...(unknown.length > 0 ? [waiting] : []),
    ...(config.fallback === 'static' ? silentNotes([entry]) : []),
    ...(config.mode === 'observe' ? ['mode is observe: nothing is blocked now'] : []),
  ]
}

const lost = (trouble: string | undefined): string[] =>
  trouble === undefined
    ? []
    : [`the change is in force, but a restart would undo it until it can be written: ${trouble}`]
