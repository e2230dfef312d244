/**
 * Reads the facts of this host from its own files: resolvers, time servers and mirrors; and tells when they
 * have changed.
 */
import { hostname } from 'node:os'
import type { Config } from '../config/config.js'
import type { PortRange } from '../core/packet/ip.js'
import { readEphemeralPorts } from '../kernel/proc/port-ranges.js'
import { type Infrastructure, infrastructureFingerprint, readInfrastructure } from './infrastructure.js'
import { discover, fingerprint } from './mirrors/discover.js'
import type { Discovery, Mirror } from './mirrors/mirror.js'
import { serviceUsers } from './service-users.js'

const NO_MIRRORS: Discovery = { mirrors: [], notes: [] }

/** The settings that decide what is read. */
type Wanted = Pick<Config, 'mirrors'>

/** Reads the facts of this host. `notes` in the result are for the operator. */
export function readHost({ mirrors: { discover: wanted, root } }: Wanted): HostFacts & Discovery {
  const found = wanted ? discover(root) : NO_MIRRORS
  const idOf = serviceUsers('/')
  return {
    ...readInfrastructure('/', idOf),
    ...found,
    updateUsers: (found.users ?? []).flatMap((name) => idOf(name) ?? []),
    name: hostname().toLowerCase(),
    ephemeralPorts: readEphemeralPorts(),
  }
}

/** Returns a text that changes when something that `readHost` reads changes. */
export const hostFingerprint = ({ mirrors: { discover: wanted, root } }: Wanted): string =>
  `${Object.values(readEphemeralPorts())} ${infrastructureFingerprint()} ${wanted ? fingerprint(root) : ''}`

/** The facts of this host. */
export interface HostFacts extends Infrastructure {
  readonly name: string
  /** Ports that the kernel chooses from for sockets that do not bind one. */
  readonly ephemeralPorts: PortRange
  readonly mirrors: readonly Mirror[]
  /** Ids of the users that package managers download as, where their files name others than their own. */
  readonly updateUsers: readonly number[]
}
