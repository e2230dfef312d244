/** Writes the tables and pictures of docs/performance.md. Tables stand between markers with the name of their part. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { picturesOf } from './pictures.js'
import type { Results } from './results.js'
import { asMarkdown } from './tables.js'

const docs = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))
const DOCUMENT = docs('performance.md')

/** Matches a marked section: its first line, the name of the part in it, its contents, and its last line. */
const SECTION = /(<!-- results: ([\w-]+) -->\n)[\s\S]*?(<!-- end -->)/g

/** Returns a document with the tables of the results in its marked sections. Sections without results stay as they are. */
export function withTables(document: string, results: Results): string {
  return document.replaceAll(SECTION, (section, first: string, part: string, last: string) => {
    const measured = results[part]
    return measured === undefined ? section : `${first}\n${asMarkdown(measured)}\n\n${last}`
  })
}

export function writeDocument(results: Results): void {
  if (existsSync(DOCUMENT)) writeFileSync(DOCUMENT, withTables(readFileSync(DOCUMENT, 'utf8'), results))
  for (const [name, svg] of Object.entries(picturesOf(results)))
    writeFileSync(docs(`performance-${name}.svg`), svg)
}
