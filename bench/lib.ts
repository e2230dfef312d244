/** Helps the benchmarks: figures of a process, and of several rounds. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Returns the path of a C program of the benchmarks. */
export const C = (name: string) => fileURLToPath(new URL(`../../bench/build/${name}`, import.meta.url))

/** Returns the path of a compiled program of bench/programs/. */
export const script = (name: string) => fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url))

/**
 * Reads the CPU time of a process, user and system. proc_pid_stat(5): utime and stime are fields 14 and 15,
 * in ticks of 10 ms. The name before them may contain spaces.
 */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Reads the memory of a process that is its own, or its share of what it shares: Pss, in MiB (proc_pid_smaps(5)). */
export function mebibytes(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1]) / 1024
}

/** Returns the middle value, or the mean of the two in the middle; NaN without values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
}

/** Returns the value that a part of the values, as 0.99, does not exceed. */
export function percentile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1]!
}
