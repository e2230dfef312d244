/** Types of a whole configuration, as the schema makes them. */
import type { schema } from './schema.js'
import type { ValuesOf } from './setting-table.js'

/** All of the configuration but its notes. */
export type Values = ValuesOf<typeof schema>

/** A configuration, frozen all the way down but for the words of addresses. Durations are in seconds, users are uids. */
export interface Config extends Values {
  /** For the operator: settings without effect in this version, and files that were not read. */
  readonly notes: readonly string[]
}
