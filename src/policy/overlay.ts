/** Applies the changes that an operator has made at runtime, the overlay, to the configuration. */

import type { AllowEntry, Config } from '../config/config.js'
import { quote } from '../config/problems.js'
import { formatRule, type WrittenRule } from '../config/show.js'
import { isExpired } from '../core/policy/conditions.js'
import { originText } from '../core/policy/origin.js'
import type { ServiceLog } from '../system/service-log.js'
import { PolicyRefusal } from './refusal.js'
import { BYTES_AT_MOST, ENTRIES_AT_MOST, entriesText } from './runtime-entries-file.js'

export interface Overlay {
  /** Valid until the next reload or restart; undefined when the mode of the configuration is in force. */
  readonly mode: Config['mode'] | undefined
  /** Rules beside those of the configuration. */
  readonly entries: readonly AllowEntry[]
}

const applyOverlay = (config: Config, { mode, entries }: Overlay): Config => ({
  ...config,
  mode: mode ?? config.mode,
  allow: [...config.allow, ...entries],
})

/** The settings that a policy is built from. */
export interface Settings {
  /** The configuration as it was read. */
  readonly configured: Config
  readonly overlay: Overlay
  /** The configuration with the overlay applied. */
  readonly config: Config
}

export const settingsOf = (configured: Config, overlay: Overlay): Settings => ({
  configured,
  overlay,
  config: applyOverlay(configured, overlay),
})

/**
 * Adds an entry to an overlay. @param replaces whether it may replace one of its name @throws PolicyRefusal
 */
export function withEntry(
  overlay: Overlay,
  { allow }: Pick<Config, 'allow'>,
  entry: AllowEntry,
  replaces: boolean,
): Overlay {
  const { name } = entry
  const written = allow.find((each) => each.name === name)
  if (written !== undefined)
    throw new PolicyRefusal(
      'configured-rule',
      `${quote(name)} is a rule of the configuration, at ${originText(written.origin)}: choose another name`,
    )
  if (!replaces && overlay.entries.some((each) => each.name === name))
    throw new PolicyRefusal(
      'entry-exists',
      `${quote(name)} is a runtime entry already: remove it, or replace it (--replace)`,
    )
  const others = overlay.entries.filter((each) => each.name !== name)
  if (others.length >= ENTRIES_AT_MOST)
    throw new PolicyRefusal(
      'too-many-entries',
      `there are ${ENTRIES_AT_MOST} runtime entries already: remove some, or write them into a file`,
    )
  const entries = [...others, entry]
  if (entriesText(entries).length > BYTES_AT_MOST)
    throw new PolicyRefusal(
      'entries-too-large',
      'the runtime entries would be too large: write some of them into a file',
    )
  return { ...overlay, entries }
}

/** Removes an entry from an overlay. @throws PolicyRefusal */
export function withoutEntry(overlay: Overlay, { allow }: Pick<Config, 'allow'>, name: string): Overlay {
  const entries = overlay.entries.filter((each) => each.name !== name)
  if (entries.length < overlay.entries.length) return { ...overlay, entries }
  const written = allow.find((each) => each.name === name)
  const why =
    written === undefined
      ? namesText(overlay)
      : `it is a rule of the configuration, at ${originText(written.origin)}: take it out there, and reload`
  throw new PolicyRefusal('unknown-entry', `there is no runtime entry ${quote(name)}: ${why}`)
}

/**
 * Removes the entries whose name a rule of the configuration has. @returns the same overlay when there are
 * none
 */
export function withoutShadowed(overlay: Overlay, { allow }: Pick<Config, 'allow'>): Overlay {
  const names = new Set(allow.map(({ name }) => name))
  const entries = overlay.entries.filter(({ name }) => !names.has(name))
  return entries.length === overlay.entries.length ? overlay : { ...overlay, entries }
}

/**
 * Adds runtime entries to a configuration, without those that it shadows or that have expired. @param now
 * milliseconds since the epoch
 */
export function withRuntimeEntries(config: Config, entries: readonly AllowEntry[], now: number): Config {
  return applyOverlay(config, unexpired(withoutShadowed({ mode: undefined, entries }, config), now))
}

/** Removes the entries that have expired. @returns the same overlay when there are none */
export function unexpired(overlay: Overlay, now: number): Overlay {
  const entries = overlay.entries.filter((entry) => !isExpired(entry, now))
  return entries.length === overlay.entries.length ? overlay : { ...overlay, entries }
}

function namesText({ entries }: Overlay): string {
  if (entries.length === 0) return 'there is none at all'
  const names = entries.map(({ name }) => name)
  return `there ${names.length === 1 ? 'is' : 'are'} ${names.slice(0, 10).join(', ')}${names.length > 10 ? ' and more' : ''}`
}

/** Writes all runtime entries as a configuration file would have them. */
export const writtenEntries = ({ entries }: Overlay, userName: UserName): WrittenRule[] =>
  entries.map((entry) => writtenEntry(entry, userName))

type UserName = (uid: number) => string | undefined

/** Writes one entry, with its users by name when they have one. */
export const writtenEntry = (entry: AllowEntry, userName: UserName): WrittenRule =>
  formatRule(entry, (uid) => userName(uid) ?? uid)

/** Returns the part of an overlay that stays valid beside a configuration. What the configuration replaces is logged. */
export function validOverlay(overlay: Overlay, config: Config, log: Pick<ServiceLog, 'warn'>): Overlay {
  const kept = withoutShadowed(overlay, config)
  for (const { name } of overlay.entries.filter((each) => !kept.entries.includes(each)))
    log.warn(`runtime entry ${name} is gone: the configuration has a rule of that name`)
  return unexpired(kept, Date.now())
}
