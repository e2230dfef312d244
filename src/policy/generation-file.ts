import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GENERATIONS, nextGeneration } from '../core/ruleset/marks.js'
import { StateFile, type StateFileOptions } from '../system/state-file.js'

/**
 * Keeps the generation of the policy, which approved connections carry in their mark. Connections that an
 * earlier run approved must be judged again, so a start takes the generation after the last one.
 */
export class GenerationFile {
  readonly #path: string
  readonly #file: StateFile
  #current: number
  #kept = 0

  /** @param random returns 0 to 1: when no generation was kept, a start draws one */
  constructor(directory: string, random: () => number, log: StateFileOptions['log']) {
    this.#path = join(directory, 'generation')
    this.#file = new StateFile({
      path: this.#path,
      text: () => `${this.#kept}\n`,
      loss: 'a restart may leave connections unjudged that this run approved',
      log,
    })
    const last = this.#read()
    this.#current = last === undefined ? 1 + Math.floor(random() * GENERATIONS) : nextGeneration(last)
  }

  /** 1 to GENERATIONS. */
  get current(): number {
    return this.#current
  }

  /**
   * Keeps a generation for the next start. Settles when it is on disk: only then may its rules be loaded. A
   * run that ends before they are has skipped a number, no more. @returns why it could not be written, or
   * undefined
   */
  keep(generation: number): Promise<string | undefined> {
    this.#kept = generation
    this.#file.change()
    return this.#file.write()
  }

  /** Retries a write that failed. @param now as StateFile.tick */
  tick(now: number): Promise<void> {
    return this.#file.tick(now)
  }

  /** Takes a generation as the current one: its rules are loaded. */
  take(generation: number): void {
    this.#current = generation
  }

  #read(): number | undefined {
    try {
      const generation = Number(readFileSync(this.#path, 'utf8'))
      return Number.isInteger(generation) && generation >= 1 && generation <= GENERATIONS
        ? generation
        : undefined
    } catch {
      return undefined
    }
  }
}
