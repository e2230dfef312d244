import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { sdNotify } from 'node-netfilter-queue/system'
import type { Periodic } from './periodic.js'
import type { ServiceLog } from './service-log.js'

/**
 * The variables by which systemd tells a service where to notify it, and how often (sd_notify(3),
 * sd_watchdog_enabled(3)), and which folder it made for it (systemd.exec(5)).
 */
type Environment = Readonly<Partial<Record<'NOTIFY_SOCKET' | 'WATCHDOG_USEC' | 'RUNTIME_DIRECTORY', string>>>

/** The file in the runtime directory by which the unit asks the service to keep its rules. */
const KEEP_RULES = 'keep-rules'

/** Time that one stage of the start may take: microseconds. */
const STAGE_USEC = 60_000_000

/** Notifies systemd of the service's state. Does nothing where systemd did not start the service. */
export class Systemd {
  readonly #environment: Environment
  readonly #log: Pick<ServiceLog, 'warn'>

  constructor(environment: Environment, log: Pick<ServiceLog, 'warn'>) {
    this.#environment = environment
    this.#log = log
  }

  /** Says that the start goes on: a slow host takes longer than the unit allows for one stage (sd_notify(3)). */
  starting(): void {
    this.#notify(`EXTEND_TIMEOUT_USEC=${STAGE_USEC}`)
  }

  ready(mode: string): void {
    this.#notify(`READY=1\nSTATUS=mode ${mode}`)
  }

  mode(mode: string): void {
    this.#notify(`STATUS=mode ${mode}`)
  }

  stopping(): void {
    this.#notify('STOPPING=1')
  }

  /**
   * Whether the rules stay at this stop: the unit starts again, or the host goes down (`ExecStop=` of the unit). That is
   * not asked where the start took too long: then systemd starts the service again.
   * @param wasStarting whether the start was not over when the service was told to stop
   */
  keepsRules(wasStarting: boolean): boolean {
    const { RUNTIME_DIRECTORY: folder } = this.#environment
    return folder !== undefined && (wasStarting || existsSync(join(folder, KEEP_RULES)))
  }

  /**
   * Feeds the watchdog twice in each of its intervals, if the unit sets one.
   * @param isWell whether the service does its work; when it does not for an interval, systemd starts it again
   */
  feedWatchdog(periodic: Pick<Periodic, 'every'>, isWell: () => boolean): void {
    const interval = Number(this.#environment.WATCHDOG_USEC ?? 0) / 1000
    const feed = () => {
      if (isWell()) this.#notify('WATCHDOG=1')
    }
    if (interval > 0) periodic.every(interval / 2, feed)
  }

  /** Sends a state. The service goes on where systemd cannot be reached. */
  #notify(state: string): void {
    try {
      sdNotify(this.#environment.NOTIFY_SOCKET, state)
    } catch (error) {
      this.#log.warn((error as Error).message)
    }
  }
}
