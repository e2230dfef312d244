/**
 * Runs all tests of the core in this process: to start one for each would take longer than they do. All files of the
 * core are loaded, so that one without a test counts as not covered.
 */
import { readdirSync } from 'node:fs'

for (const folder of ['src/core', 'test/core'])
  for (const name of readdirSync(`dist/${folder}`, { recursive: true }).sort())
    if (name.endsWith('.js')) await import(`../dist/${folder}/${name}`)
