/** Knows the settings that are read at start only. */
import type { Config } from '../config/config.js'

const AT_START = ['firewall', 'queue', 'sessions', 'log', 'metrics', 'control', 'state'] as const

/** Returns the settings among them that another configuration would change: in vain, until a restart. */
export const changedInVain = (configured: Config, wanted: Config): readonly string[] =>
  AT_START.filter((key) => JSON.stringify(configured[key]) !== JSON.stringify(wanted[key]))

/** Returns another configuration with the settings that this run was started with. */
export const withStartSettings = (configured: Config, wanted: Config): Config => ({
  ...wanted,
  ...(Object.fromEntries(AT_START.map((key) => [key, configured[key]])) as Pick<
    Config,
    (typeof AT_START)[number]
  >),
})
