/** The shape of a table of settings. */
import type { Format } from './location.js'
import { step } from './yaml.js'

export interface Setting<T> {
  readonly doc: string
  /** As it would be written in the file. */
  readonly default: unknown
  readonly format: Format<T>
}

/** A table in the shape of what comes out of it. */
export type Settings<T> = {
  readonly [Key in keyof T]: Setting<T[Key]> | Settings<T[Key]>
}

/** A table of whatever shape. */
export interface AnySettings {
  readonly [key: string]: Setting<unknown> | AnySettings
}

export function isSetting(node: Setting<unknown> | AnySettings): node is Setting<unknown> {
  return typeof node.format === 'function'
}

/** All settings by their whole key, like `firewall.mark.mask`, in the order of the table. */
export function settingsByKey(settings: AnySettings, path = ''): Map<string, Setting<unknown>> {
  const found = new Map<string, Setting<unknown>>()
  for (const [name, node] of Object.entries(settings)) {
    const key = step(path, name)
    if (isSetting(node)) found.set(key, node)
    else for (const [inner, setting] of settingsByKey(node, key)) found.set(inner, setting)
  }
  return found
}

/** The environment variable of a key: CHECKVALVE_SESSIONS_TCP_TIMEOUT for `sessions.tcpTimeout`. */
export function environmentName(key: string): string {
  return `CHECKVALVE_${key.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()}`
}
