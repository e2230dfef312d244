import type { MirrorStatus } from './mirrors.js'

/** What the running service says of itself. */
export interface Status {
  readonly version: string
  readonly mode: 'observe' | 'enforce'
  /** Whether the last canary connection was blocked; undefined: not tried yet. */
  readonly proven?: boolean | undefined
  /** Addresses of the resolvers whose answers count. */
  readonly resolvers: readonly string[]
  readonly mirrors: readonly MirrorStatus[]
  /** What is wrong, and what to do. */
  readonly notes: readonly string[]
}
