/** The C programs of programs/: attackers, who may be another user. */
import { execFileSync } from 'node:child_process'
import { renameSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Makes one, unless it is there already. @returns its path, which every user may run */
export function compile(name: string): string {
  const source = fileURLToPath(new URL(`../../../test/netns/programs/${name}.c`, import.meta.url))
  const program = fileURLToPath(new URL(`./programs/${name}`, import.meta.url))
  if (madeAt(program) >= madeAt(source)) return program
  // Another test may be about to make it, too.
  const own = `${program}.${process.pid}`
  execFileSync('cc', ['-O2', '-Wall', '-o', own, source])
  renameSync(own, program)
  return program
}

/** Milliseconds; 0 for what is not there. */
const madeAt = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
