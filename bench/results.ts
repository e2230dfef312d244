/** Keeps what was measured: bench/results.json, each run of each contender, and the machine it ran on. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Compared, Row } from './frame.js'
import { median } from './lib.js'
import type { Machine } from './machine.js'

/** A part as it was measured last. */
export interface Measured {
  readonly title: string
  /** The day, as 2026-01-31. */
  readonly day: string
  readonly machine: Machine
  /** The version of each program; those that are not installed are left out. */
  readonly versions: Readonly<Record<string, string>>
  readonly rounds: number
  readonly seconds: number
  readonly comparisons: readonly Compared[]
}

/** All parts, by name. */
export type Results = Readonly<Record<string, Measured>>

const FILE = fileURLToPath(new URL('../../bench/results.json', import.meta.url))

/** Reads the results so far; none when there is no file. */
export function readResults(): Results {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as Results
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}

/** Replaces the results of one part, and leaves those of the others. @returns all results */
export function keepResults(name: string, measured: Measured): Results {
  const results = { ...readResults(), [name]: measured }
  writeFileSync(FILE, `${JSON.stringify(results, rounded, 1)}\n`)
  return results
}

/** Six digits say more than was measured. */
const rounded = (_key: string, value: unknown) =>
  typeof value === 'number' ? Number(value.toPrecision(6)) : value

/** Returns the median of a figure over all runs; undefined when no run has it. */
export function medianOf({ runs }: Row, key: string): number | undefined {
  const values = runs.flatMap((figures) => figures[key] ?? [])
  return values.length === 0 ? undefined : median(values)
}

/** Returns the median of the ratios of each round; undefined when no round has both figures. */
export function ratioOf(row: Row, base: Row, key: string): number | undefined {
  const ratios = row.runs.flatMap((figures, round) => {
    const [mine, other] = [figures[key], base.runs[round]?.[key]]
    return typeof mine === 'number' && typeof other === 'number' && other > 0 ? mine / other : []
  })
  return ratios.length === 0 ? undefined : median(ratios)
}
