import type { Config } from '../config/config.js'
import type { ServiceLog } from '../system/service-log.js'
import { type HostFacts, hostFingerprint, readHost } from './host-facts.js'
import { infrastructureNotes } from './infrastructure-notes.js'
import type { Discovery } from './mirrors/mirror.js'

type Wanted = Pick<Config, 'mirrors' | 'infrastructure'>

/** Follows what this host's own files say: they change when a lease is renewed or a repository added. */
export class HostWatch {
  /** What the files said when they were last read. */
  facts: HostFacts & Discovery
  readonly #log: Pick<ServiceLog, 'warn'>
  #fingerprint: string

  constructor(config: Wanted, log: Pick<ServiceLog, 'warn'>) {
    this.#log = log
    this.#fingerprint = hostFingerprint(config)
    this.facts = readHost(config)
  }

  /** Returns the SRV names of this host's mirrors. */
  get services(): string[] {
    return this.facts.mirrors.flatMap(({ service }) => service ?? [])
  }

  /** Returns what was found, as a line for the log. */
  get findings(): string {
    const { mirrors, resolvers, timeServers } = this.facts
    return `found on this host: ${mirrors.length} mirrors, ${resolvers.length} resolvers, ${timeServers.length} time servers`
  }

  /** Returns what is amiss with the files, and not known of the host, for the operator. */
  notes(config: Wanted): string[] {
    return [...this.facts.notes, ...infrastructureNotes(config, this.facts)]
  }

  /** Whether the files have changed since they were read. */
  hasChanged(config: Wanted): boolean {
    return hostFingerprint(config) !== this.#fingerprint
  }

  /** Reads the files again, and logs the notes. */
  read(config: Wanted): void {
    // A change between the two is found by the next check.
    this.#fingerprint = hostFingerprint(config)
    this.facts = readHost(config)
    for (const note of this.notes(config)) this.#log.warn(note)
  }

  /** Makes the files count as changed, when what they say could not be brought into force. */
  retry(): void {
    this.#fingerprint = 'to be tried again'
  }
}
