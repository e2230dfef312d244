/**
 * Runs the contenders of a benchmark in turns, so that other load on the machine affects all alike: one round
 * after the other, each in the opposite order of the one before.
 */

/** The figures of one run, by the keys of the columns. null: there is none, as of an alert that never came. */
export type Figures = Readonly<Record<string, number | null>>

export interface Column {
  readonly key: string
  /** The heading, with the unit: `verdicts/s`. */
  readonly title: string
  /** Decimal places in tables; 0 when absent. */
  readonly digits?: number
  /** Whether tables have the ratio to the base beside the figure. */
  readonly ratio?: boolean
}

export interface Contender {
  readonly name: string
  /** Why it cannot run here; undefined when it can. */
  readonly absent?: string | undefined
  /** Sets itself up in namespaces of its own, and measures for about so many seconds. */
  measure(seconds: number): Promise<Figures>
}

/** Contenders that do the same. Ratios are to the first of them, the base. */
export interface Comparison {
  readonly name: string
  readonly columns: readonly Column[]
  readonly contenders: readonly Contender[]
}

/** A benchmark, `npm run bench -- NAME`. */
export interface Part {
  readonly name: string
  /** What is measured, as a sentence for people who read the tables. */
  readonly title: string
  comparisons(): readonly Comparison[] | Promise<readonly Comparison[]>
}

/** A contender's runs, one for each round. Without runs it says why: it is absent, or has failed. */
export interface Row {
  readonly name: string
  readonly absent?: string
  readonly runs: readonly Figures[]
}

export interface Compared {
  readonly name: string
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
}

/** Measures all contenders in turns. A contender that fails is left out from then on. */
export async function compare(comparison: Comparison, rounds: number, seconds: number): Promise<Compared> {
  const { name, columns, contenders } = comparison
  const runs = contenders.map((): Figures[] => [])
  const absent = contenders.map((contender) => contender.absent)
  for (let round = 0; round < rounds; round++) {
    const order = [...contenders.entries()]
    if (round % 2 === 1) order.reverse()
    for (const [index, contender] of order)
      if (absent[index] === undefined)
        try {
          runs[index]!.push(await contender.measure(seconds))
        } catch (error) {
          absent[index] = failure(name, contender.name, error)
          runs[index] = []
        }
  }
  return { name, columns, rows: contenders.map((each, i) => row(each.name, runs[i]!, absent[i])) }
}

const row = (name: string, runs: Figures[], absent: string | undefined): Row =>
  absent === undefined ? { name, runs } : { name, absent, runs }

/** Reports a failure, and makes the run fail in the end. @returns the reason, for the table */
function failure(comparison: string, contender: string, error: unknown): string {
  console.error(`${comparison}: ${contender} failed: ${(error as Error).message}`)
  process.exitCode = 1
  return `failed: ${String((error as Error).message).split('\n')[0]}`
}
