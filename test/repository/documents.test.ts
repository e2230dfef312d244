/** These tests check that files of this repository that documents name exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'

const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'node-netfilter-queue/README.md',
  ...readdirSync('docs').map((name) => `docs/${name}`),
]

/** Matches a path of the repository in documents and comments. */
const PATH =
  /(?<![\w/.-])(?:src|test|docs|bench|demo|scripts|systemd|config|packaging|monitoring|shipping|node-netfilter-queue)\/[\w./-]*[\w/]/g

/**
 * Returns whether a path is created by a build, is an entry point of a package, or is a placeholder in a
 * recipe.
 */
const isMade = (path: string) => /NAME|^node-netfilter-queue\/system$|\/dist\/|\/build\//.test(path)

t.test('a path that a document names exists', async (t) => {
  for (const document of DOCUMENTS) {
    const text = readFileSync(document, 'utf8')
    const paths = new Set(text.match(PATH)?.filter((path) => !isMade(path)))
    t.same(
      [...paths].filter((path) => !existsSync(path)),
      [],
      document,
    )
  }
})

t.test('a path that a comment of the source names exists', async (t) => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  t.ok(sources.length > 200)
  for (const name of sources) {
    const comments = readFileSync(`src/${name}`, 'utf8').match(/\/\*\*[\s\S]*?\*\/|^\s*\/\/.*$/gm) ?? []
    const missing = comments.flatMap((text) => text.match(PATH) ?? []).filter((path) => !existsSync(path))
    if (missing.length > 0) t.fail(`src/${name} names missing paths: ${missing.join(', ')}`)
  }
})

t.test('docs/fleet.md has each variable of the role for Ansible, and its default', async (t) => {
  const role = 'packaging/ansible/roles/checkvalve'
  const { argument_specs: specs } = parse(readFileSync(`${role}/meta/argument_specs.yml`, 'utf8'))
  const defaults = parse(readFileSync(`${role}/defaults/main.yml`, 'utf8')) as Record<string, unknown>
  const document = readFileSync('docs/fleet.md', 'utf8')
  t.same(Object.keys(specs.main.options), Object.keys(defaults))
  for (const [name, value] of Object.entries(defaults)) {
    const row = document.split('\n').find((line) => line.startsWith(`| \`${name}\` |`))
    t.ok(row, name)
    const isPlain = typeof value === 'number' || (typeof value === 'string' && /^\w+$/.test(value))
    if (isPlain) t.match(row, `| \`${value}\` |`)
  }
})
