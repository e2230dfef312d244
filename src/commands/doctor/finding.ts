/** Defines the findings of the doctor. */

/**
 * The result of a check:
 * - `ok`: as it should be
 * - `note`: as it should be, and worth knowing
 * - `look`: somebody should look at it
 * - `fail`: the service cannot do its work, or does not keep what it promises
 * - `unknown`: it could not be checked
 */
export type Grade = 'ok' | 'note' | 'look' | 'fail' | 'unknown'

export interface Finding {
  readonly grade: Grade
  /** The subject, in a word or two. */
  readonly area: string
  readonly what: string
  /** What to do, or what it means. */
  readonly advice?: string
}

/** Makes the findings of one area. */
export class Findings {
  readonly all: Finding[] = []
  readonly #area: string

  constructor(area: string) {
    this.#area = area
  }

  ok(what: string): void {
    this.#add('ok', what)
  }

  note(what: string, advice?: string): void {
    this.#add('note', what, advice)
  }

  look(what: string, advice: string): void {
    this.#add('look', what, advice)
  }

  fail(what: string, advice: string): void {
    this.#add('fail', what, advice)
  }

  unknown(what: string, advice: string): void {
    this.#add('unknown', what, advice)
  }

  #add(grade: Grade, what: string, advice?: string): void {
    this.all.push({ grade, area: this.#area, what, ...(advice !== undefined && { advice }) })
  }
}

/** Whether something is amiss. */
export const isAmiss = ({ grade }: Finding): boolean => grade === 'look' || grade === 'fail'
