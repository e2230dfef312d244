/** Compiles the C programs of the benchmarks, as `npm run bench` does. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const BENCH = fileURLToPath(new URL('../../../bench', import.meta.url))

/** Compiles a program unless it is up to date. @returns its path, which every user may run */
export function compiled(name: string): string {
  execFileSync('make', ['--silent', '-C', BENCH, `build/${name}`])
  return `${BENCH}/build/${name}`
}
