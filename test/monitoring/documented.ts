/** Reads the examples of docs/monitoring.md, for tests that use them as they stand there. */
import { readFileSync } from 'node:fs'

/** Returns the example whose first line is `# PATH`. @throws Error when there is none */
export function exampleOf(path: string): string {
  const text = readFileSync('docs/monitoring.md', 'utf8')
  const blocks = [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, block]) => block!)
  const found = blocks.find((block) => block.startsWith(`# ${path}\n`))
  if (found === undefined) throw new Error(`docs/monitoring.md has no example of ${path}`)
  return found
}
