/** The C programs of programs/: attackers, who may be another user. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** Makes one, for as long as the test takes. @returns its path, which every user may run */
export function compile(t: Test, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `checkvalve-${name}-`))
  t.teardown(() => rmSync(folder, { recursive: true }))
  chmodSync(folder, 0o755)
  const program = join(folder, name)
  const source = fileURLToPath(new URL(`../../../test/netns/programs/${name}.c`, import.meta.url))
  execFileSync('cc', ['-O2', '-Wall', '-o', program, source])
  return program
}
