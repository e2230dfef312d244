/** Collects what the checks need: this host, its configuration, and the service if it runs. */
import { readFileSync } from 'node:fs'
import type { Config } from '../../config/config.js'
import { Absent, ask } from '../../control/client.js'
import type { Policy } from '../../core/policy/policy.js'
import type { readHost } from '../../host/host-facts.js'
import { holderOf, type Process, processes } from '../../kernel/proc/processes.js'
import type { SavedNames } from '../../names/addresses-file.js'
import { asStarted, knownPolicy } from '../../policy/offline-policy.js'
import { command } from '../../system/run-command.js'
import type { Status } from '../../telemetry/status.js'
import {
  type Capability,
  capabilitiesOf,
  capabilitiesOfUnit,
  inodeOfListener,
  parseProperties,
  statusField,
} from './proc.js'

export interface DoctorContext {
  readonly config: Config
  readonly policy: Policy
  readonly host: ReturnType<typeof readHost>
  /** Addresses that an earlier run has learned. */
  readonly known: SavedNames
  /** The answer of the running service, or why there is none. */
  readonly status: Status | NodeJS.ErrnoException
  /** The process of the service, if it runs and this user may see it. */
  readonly process: ServiceProcess | undefined
  /** Properties of the systemd unit, if there is one. */
  readonly unit: ReadonlyMap<string, string> | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

export interface ServiceProcess extends Process {
  readonly uid: number
  readonly capabilities: ReadonlySet<Capability>
}

export const UNIT = 'checkvalve.service'
const PROPERTIES = ['LoadState', 'User', 'AmbientCapabilities', 'CapabilityBoundingSet']
/** Limit of the search through the descriptors of all processes. */
const SEARCH_MS = 2000

export async function createContext(written: Config, now: number): Promise<DoctorContext> {
  const config = asStarted(written, now)
  const status = await ask<Status>(config.control.socket, 'GET', '/v1/status').catch((error: Error) => error)
  const { policy, host, known } = knownPolicy(config)
  return {
    config,
    policy,
    host,
    known,
    status,
    process: processAt(config.control.socket),
    unit: await unit(),
    now,
  }
}

/** Returns the status of the running service, or undefined when it did not answer. */
export const running = ({ status }: DoctorContext): Status | undefined =>
  status instanceof Error ? undefined : status

/**
 * Whether the service surely does not run. When false, it runs, or did not answer, or does not answer this
 * user.
 */
export const isAbsent = ({ status }: DoctorContext): boolean => status instanceof Absent

/** Finds the process that listens on a socket of the file system. */
function processAt(path: string): ServiceProcess | undefined {
  const inode = inodeOfListener(textOf('/proc/net/unix'), path)
  const found = inode === undefined ? undefined : holderOfSocket(inode)
  const text = found && textOf(`/proc/${found.pid}/status`)
  if (!found || !text) return undefined
  const uid = Number(statusField(text, 'Uid')?.split(/\s+/)[1])
  return { ...found, uid, capabilities: capabilitiesOf(text) }
}

/**
 * Finds the oldest process that has a socket open. A process that starts a program has a child for a moment,
 * which holds all of its sockets.
 */
export function holderOfSocket(inode: number): Process | undefined {
  const end = Date.now() + SEARCH_MS
  return holderOf(new Set([inode]), processes().reverse(), () => Date.now() > end)
}

/** Reads the properties of the unit. Returns undefined when there is no systemd, or no such unit. */
async function unit(): Promise<ReadonlyMap<string, string> | undefined> {
  const text = await attempt(['systemctl', 'show', UNIT, ...PROPERTIES.flatMap((each) => ['-p', each])])
  const properties = parseProperties(text ?? '')
  return properties.get('LoadState') === 'loaded' ? properties : undefined
}

/** Runs a program and returns its output, or undefined when the program is missing or fails. */
export const attempt = (argv: readonly [string, ...string[]]): Promise<string | undefined> =>
  command(argv).catch(() => undefined)

/** Reads a file. Returns an empty text when it does not exist or may not be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Finds the capabilities that the service has, or would have. */
export function serviceCapabilities({ process, unit }: DoctorContext): {
  of: string
  has: ReadonlySet<Capability>
} {
  if (process !== undefined) return { of: `the service (pid ${process.pid})`, has: process.capabilities }
  if (unit !== undefined) return { of: UNIT, has: capabilitiesOfUnit(unit) }
  return { of: 'this command', has: capabilitiesOf(textOf('/proc/self/status')) }
}
