/** Checks that this host has the units, users and mirrors that rules name. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { AllowEntry } from '../../config/config.js'
import { originText } from '../../core/policy/origin.js'
import { slicesOf } from '../../kernel/proc/unit-slices.js'
import { isAddress, isWildcard, type MirrorStatus } from '../../telemetry/mirror-status.js'
import { attempt, type DoctorContext } from './context.js'
import { type Finding, Findings } from './finding.js'

/** Folders of unit files: systemd.unit(5), "Unit File Load Path". */
const UNIT_FOLDERS = [
  'etc/systemd/system',
  'run/systemd/system',
  'run/systemd/generator',
  'run/systemd/transient',
  'usr/local/lib/systemd/system',
  'usr/lib/systemd/system',
  'lib/systemd/system',
]

export function units({ config }: DoctorContext, root = '/'): Finding[] {
  const found = new Findings('units')
  const named = config.allow.flatMap((rule) => (rule.units ?? []).map((unit) => ({ rule, unit })))
  for (const { rule, unit } of named)
    if (!isKnown(unit, root))
      found.look(
        `there is no ${unit} on this host`,
        `${ruleText(rule)} allows it nothing: is it spelled right?`,
      )
  if (named.length > 0 && found.all.length === 0) found.ok(`${named.length} named by rules, all exist`)
  return found.all
}

/** Whether a unit or its template has a file, or the unit runs. */
function isKnown(unit: string, root: string): boolean {
  const template = unit.replace(/@[^@]+(?=\.[a-z]+$)/, '@')
  const names = [...new Set([unit, template])]
  return (
    UNIT_FOLDERS.some((folder) => names.some((name) => existsSync(join(root, folder, name)))) ||
    slicesOf(unit).length > 0
  )
}

const ruleText = ({ name, origin }: AllowEntry) => `rule "${name}" (${originText(origin)})`

/**
 * Checks user ids: unknown names are refused with the configuration, but the number of a deleted user may be
 * left.
 */
export async function users({ config }: DoctorContext): Promise<Finding[]> {
  const found = new Findings('users')
  const named = config.allow.flatMap((rule) => (rule.users ?? []).map((uid) => ({ rule, uid })))
  for (const { rule, uid } of named)
    if ((await attempt(['getent', 'passwd', String(uid)])) === undefined)
      found.look(`there is no user ${uid} on this host`, `${ruleText(rule)} allows it nothing: is it gone?`)
  if (config.mirrors.users.length === 0)
    found.fail('nobody may update', 'no user of mirrors.users exists on this host: name the users who update')
  if (found.all.length === 0) found.ok('all that rules name exist')
  return found.all
}

/** @param mirrors with their addresses, as the service or an earlier run knows them */
export function mirrors({ host }: DoctorContext, mirrors: readonly MirrorStatus[]): Finding[] {
  const found = new Findings('mirrors')
  // `file:line: what, and what to do`
  for (const note of host.notes) {
    const [place = '', ...rest] = note.split(': ')
    found.look(place, rest.join(': '))
  }
  const named = mirrors.filter(({ host }) => !isAddress(host) && !isWildcard(host))
  const unknown = named.filter(({ addresses }) => addresses.length === 0)
  if (mirrors.length === 0)
    found.look(
      'none is known',
      'no package manager names another host, and mirrors.hosts is empty: updates are blocked',
    )
  else if (unknown.length > 0)
    found.look(
      `no address is known for ${unknown.length} of ${mirrors.length}`,
      'see below, and the log of the service',
    )
  else found.ok(`${mirrors.length}, with the addresses of all names`)
  return found.all
}
