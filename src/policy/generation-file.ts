import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GENERATIONS, nextGeneration } from '../core/ruleset/marks.js'
import { makeFolder } from '../system/atomic-write.js'

/**
 * The generation of the policy, which approved connections carry in their mark. Those of an earlier run must be judged
 * again, so the count goes on where it was.
 */
export class GenerationFile {
  readonly #directory: string
  #current: number

  /** @param directory where the count is kept @param random 0 to 1: where none is kept, any is as good */
  constructor(directory: string, random: () => number) {
    this.#directory = directory
    const last = this.#read()
    this.#current = last === undefined ? 1 + Math.floor(random() * GENERATIONS) : nextGeneration(last)
  }

  /** 1 to GENERATIONS. */
  get current(): number {
    return this.#current
  }

  /**
   * Keeps a generation for the next run. Before its rules stand: should this run end in between, a number was skipped, no
   * more. @throws Error of node:fs
   */
  keep(generation: number): void {
    makeFolder(this.#directory)
    writeFileSync(`${this.#file}.new`, `${generation}\n`)
    renameSync(`${this.#file}.new`, this.#file)
  }

  /** The rules of this generation stand. */
  take(generation: number): void {
    this.#current = generation
  }

  get #file(): string {
    return join(this.#directory, 'generation')
  }

  #read(): number | undefined {
    try {
      const generation = Number(readFileSync(this.#file, 'utf8'))
      return Number.isInteger(generation) && generation >= 1 && generation <= GENERATIONS
        ? generation
        : undefined
    } catch {
      return undefined
    }
  }
}
