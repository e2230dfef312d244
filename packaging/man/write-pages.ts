/** `node dist/packaging/man/write-pages.js FOLDER` writes the manual pages into a folder. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { allCommands } from '../../src/commands/registry.js'
import { VERSION } from '../../src/system/version.js'
import { pages } from './pages.js'

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('usage: write-pages.js FOLDER')
const sources = {
  version: VERSION,
  commands: await allCommands(),
  configuration: readFileSync('docs/configuration.md', 'utf8'),
  log: readFileSync('docs/log.md', 'utf8'),
}
for (const [name, text] of pages(sources)) writeFileSync(join(folder, name), text)
