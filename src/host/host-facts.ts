/** What this host's own files say: its resolvers, time servers and mirrors. They are read anew when one has changed. */
import { hostname } from 'node:os'
import type { Config } from '../config/config.js'
import type { PortRange } from '../core/packet/ip.js'
import { readEphemeralPorts } from '../kernel/proc/port-ranges.js'
import { type Infrastructure, infrastructureFingerprint, readInfrastructure } from './infrastructure.js'
import { discover, fingerprint } from './mirrors/discover.js'
import type { Discovery, Mirror } from './mirrors/mirror.js'

const NO_MIRRORS: Discovery = { mirrors: [], notes: [] }

/** What of the configuration it depends on. */
type Wanted = Pick<Config, 'mirrors'>

/** `notes` are for the operator. */
export function readHost({ mirrors: { discover: wanted, root } }: Wanted): HostFacts & Discovery {
  const found = wanted ? discover(root) : NO_MIRRORS
  return {
    ...readInfrastructure(),
    ...found,
    name: hostname().toLowerCase(),
    ephemeralPorts: readEphemeralPorts(),
  }
}

/** Changes when something that `readHost` reads does. */
export const hostFingerprint = ({ mirrors: { discover: wanted, root } }: Wanted): string =>
  `${Object.values(readEphemeralPorts())} ${infrastructureFingerprint()} ${wanted ? fingerprint(root) : ''}`
/** What is known of this host. */
export interface HostFacts extends Infrastructure {
  readonly name: string
  /** Ports that the kernel chooses from for sockets that ask for none. */
  readonly ephemeralPorts: PortRange
  readonly mirrors: readonly Mirror[]
}
