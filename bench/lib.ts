/** Helps the benchmarks: figures of a process, and of several rounds. */
import { readFileSync } from 'node:fs'

/**
 * Reads the CPU time of a process, user and system. proc_pid_stat(5): utime and stime are fields 14 and 15,
 * in ticks of 10 ms. The name before them may contain spaces.
 */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
}
