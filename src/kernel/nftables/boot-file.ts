import { join } from 'node:path'
import { renderBoot } from '../../core/ruleset/boot-ruleset.js'
import { StateFile, type StateFileOptions } from '../../system/state-file.js'
import type { Firewall, Loaded } from './firewall.js'

/** The name of the file in the state directory; checkvalve-rules.service has it, too. */
const FILE = 'boot.nft'
/** Milliseconds between two writes for learned addresses and ports alone. */
const INTERVAL_MS = 60_000

/**
 * Keeps the ruleset for the next boot. A new policy is written at once, so that the host is guarded by it after a power
 * cut.
 */
export class BootFile {
  readonly #firewall: Pick<Firewall, 'loaded' | 'hostChanges'>
  readonly #file: StateFile
  #seen: { readonly loaded: Loaded; readonly hostChanges: number } | undefined

  constructor(
    firewall: Pick<Firewall, 'loaded' | 'hostChanges'>,
    directory: string,
    log: StateFileOptions['log'],
  ) {
    this.#firewall = firewall
    this.#file = new StateFile({
      path: join(directory, FILE),
      text: () => this.#text(),
      loss: 'the next boot loads older rules until the service starts',
      log,
      intervalMs: INTERVAL_MS,
    })
  }

  /** Writes what has changed when it is due. @param now as StateFile.tick */
  async tick(now: number): Promise<void> {
    const { loaded, hostChanges } = this.#firewall
    if (loaded === undefined) return
    const before = this.#seen
    this.#seen = { loaded, hostChanges }
    if (before?.loaded !== loaded || before.hostChanges !== hostChanges) this.#file.change()
    if (before?.loaded.policy === loaded.policy) await this.#file.tick(now)
    else await this.#file.write()
  }

  #text(): string {
    const { policy, options, facts } = this.#seen!.loaded
    return renderBoot(policy, options, facts, Date.now())
  }
}
