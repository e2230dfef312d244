/** These tests check the layout of src/: the linter refuses each import against the order of dependence. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { run } from '../lab/command.js'

/**
 * ORDER is the order of CONTRIBUTING.md, from top to bottom. Folders of one line do not import each other.
 */
const ORDER = [
  ['main'],
  ['commands'],
  ['daemon'],
  ['control'],
  ['analysis'],
  ['telemetry'],
  ['packet-path'],
  ['containment'],
  ['policy'],
  ['sessions', 'names', 'host'],
  ['kernel', 'records', 'config'],
  ['system'],
  ['text'],
  ['core'],
] as const
const ALL = ORDER.flat()
const rankOf = (part: string) => ORDER.findIndex((line) => (line as readonly string[]).includes(part))

const isFile = (part: string) => part === 'main' || part === 'daemon'

/** Returns the path of a part's probe; importOf returns the path by which another part imports it. */
const pathOf = (part: string) => (isFile(part) ? `src/${part}.ts` : `src/${part}/probe.ts`)
const importOf = (part: string, up: string) => (isFile(part) ? `${up}/${part}.js` : `${up}/${part}/probe.js`)

interface Diagnostic {
  readonly category: string
  readonly location: { readonly path: string; readonly start: { readonly line: number } }
}

/** Lints files in a temporary folder, by the rules of this repository. @returns `path:line` by rule */
async function lint(t: Test, files: Readonly<Record<string, string>>): Promise<Map<string, string[]>> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-layout-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  cpSync('biome.json', join(folder, 'biome.json'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const biome = join(process.cwd(), 'node_modules/.bin/biome')
  const options = ['--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none']
  const argv = ['sh', '-c', 'cd "$1"; shift; exec "$@"', 'sh', folder, biome, 'lint', ...options, 'src']
  const { stdout } = await run('lint', argv, { allowFailure: true, timeout: 300_000 })
  const found = new Map<string, string[]>()
  for (const { category, location } of (JSON.parse(stdout) as { diagnostics: Diagnostic[] }).diagnostics) {
    const rule = category.split('/').at(-1)!
    found.set(rule, [...(found.get(rule) ?? []), `${location.path}:${location.start.line}`])
  }
  return found
}

/** Makes one line for each import. */
const importing = (targets: readonly string[]) =>
  targets.map((target, i) => `import { value as value${i} } from '${target}'\n`).join('')

t.test('a part imports from the parts below it, and from no others', async (t) => {
  const files: Record<string, string> = {}
  const refused: string[] = []
  for (const part of ALL) {
    const others = ALL.filter((other) => other !== part)
    const depths = isFile(part) ? ['.'] : part === 'core' ? ['../..'] : ['..', '../..']
    for (const up of depths) {
      const path = up === '../..' ? pathOf(part).replace('probe', 'inner/probe') : pathOf(part)
      files[path] = importing(others.map((other) => importOf(other, up)))
      others.forEach((other, i) => {
        if (rankOf(other) <= rankOf(part)) refused.push(`${path}:${i + 1}`)
      })
    }
  }
  t.same((await lint(t, files)).get('noRestrictedImports')?.sort(), refused.sort())
})

t.test(
  'the core imports neither packages nor files from outside, and its files are one folder deep',
  async (t) => {
    const files = {
      'src/core/packet/probe.ts': importing([
        './other.js',
        '../session/other.js',
        'node:fs',
        'pino',
        '../../text/a.js',
      ]),
      'src/core/loose.ts': importing(['./packet/probe.js']),
      'src/core/packet/deep/probe.ts': importing(['../probe.js']),
    }
    t.same((await lint(t, files)).get('noRestrictedImports')?.sort(), [
      'src/core/loose.ts:1',
      'src/core/packet/deep/probe.ts:1',
      'src/core/packet/probe.ts:3',
      'src/core/packet/probe.ts:4',
      'src/core/packet/probe.ts:5',
    ])
  },
)

t.test('a command imports no other command, only texts and shared modules', async (t) => {
  const targets = [
    './tail.js',
    './command.js',
    './log-options.js',
    './tail-text.js',
    './doctor/report.js',
    './explain.js',
  ]
  const found = await lint(t, {
    'src/commands/probe.ts': importing(targets),
    'src/commands/registry.ts': importing(['./tail.js', './explain.js']),
  })
  t.same(found.get('noRestrictedImports')?.sort(), ['src/commands/probe.ts:1', 'src/commands/probe.ts:6'])
})

t.test('a circle of imports is refused, also a circle of types', async (t) => {
  const files = {
    'src/kernel/one.ts': "import { two } from './two.js'\nexport const one = () => two\n",
    'src/kernel/two.ts': "import { one } from './one.js'\nexport const two = () => one\n",
    'src/names/a.ts': "import type { B } from './b.js'\nexport interface A { b: B }\n",
    'src/names/b.ts': "import type { A } from './a.js'\nexport interface B { a: A }\n",
  }
  t.same((await lint(t, files)).get('noImportCycles')?.sort(), [
    'src/kernel/one.ts:1',
    'src/kernel/two.ts:1',
    'src/names/a.ts:1',
    'src/names/b.ts:1',
  ])
})

t.test('main.ts and daemon.ts are the only files at the root, and every folder has its rule', async (t) => {
  const entries = readdirSync('src', { withFileTypes: true })
  t.same(
    entries
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort(),
    ['daemon.ts', 'main.ts'],
  )
  t.same(
    entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort(),
    ALL.filter((part) => !isFile(part)).sort(),
  )
  t.same((await lint(t, { 'src/loose.ts': importing(['./main.js']) })).get('noRestrictedImports'), [
    'src/loose.ts:1',
  ])
})

t.test('no file has more than 350 lines', async (t) => {
  for (const folder of [
    'src',
    'test',
    'bench',
    'demo',
    'packaging',
    'node-netfilter-queue/src',
    'node-netfilter-queue/test',
  ]) {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    )
    t.ok(files.length > 0, folder)
    const long = files.filter((name) => readFileSync(join(folder, name), 'utf8').split('\n').length > 351)
    t.same(long, [], folder)
  }
})
