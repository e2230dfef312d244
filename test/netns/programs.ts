/** Compiles the C programs of programs/, which attack the service, some of them as another user. */
import { execFileSync } from 'node:child_process'
import { renameSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Compiles a program unless it is up to date. @returns its path, which every user may run */
export function compile(name: string): string {
  const source = fileURLToPath(new URL(`../../../test/netns/programs/${name}.c`, import.meta.url))
  const program = fileURLToPath(new URL(`./programs/${name}`, import.meta.url))
  if (madeAt(program) >= madeAt(source)) return program
  // Another test may compile it at the same time.
  const own = `${program}.${process.pid}`
  execFileSync('cc', ['-O2', '-Wall', '-o', own, source])
  renameSync(own, program)
  return program
}

/** Returns when a file was written, in milliseconds since the epoch; 0 when there is none. */
const madeAt = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
