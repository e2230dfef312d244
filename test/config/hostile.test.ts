import t from 'tap'
import { problemsOf } from './files.js'

const MIB = 1024 * 1024

/**
 * Each text would make the parser run long, recurse deeply or run out of memory; `line` matches the first
 * problem.
 */
const CASES: [what: string, yaml: string, line: RegExp][] = [
  ['brackets without end', '['.repeat(MIB), /^main\.yaml:1: is nested too deeply$/],
  ['mappings without end', '\n{a: '.repeat(150_000), /^main\.yaml:66: is nested too deeply$/],
  ['list marks without end', '- '.repeat(MIB / 2), /^main\.yaml:1: is nested too deeply$/],
  ['question marks without end', '? '.repeat(MIB / 2), /^main\.yaml:1: is nested too deeply$/],
  [
    'deep indentation',
    Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''),
    /^main\.yaml:/,
  ],
  [
    'a key many times',
    'mode: observe\n'.repeat(70_000),
    /^main\.yaml:2: mode: is written twice, first on line 1$/,
  ],
  [
    'many keys',
    Array.from({ length: 60_000 }, (_, at) => `k${at}: 1\n`).join(''),
    /^main\.yaml:1: k0: unknown key/,
  ],
  [
    'many values',
    `mirrors: { ports: [${'0,'.repeat(250_000)}] }`,
    /^main\.yaml:1: (mirrors\.ports: )?holds more than 200000 values/,
  ],
  [
    'many aliases of nothing',
    `mirrors: { hosts: [${'*x ,'.repeat(100_000)}] }`,
    /^main\.yaml:1: mirrors\.hosts\[0\]: \*x must be in quotes/,
  ],
  [
    'an alias of itself',
    'mirrors: { hosts: &x [*x] }',
    /^main\.yaml:1: mirrors\.hosts\[0\]: \*x must be in quotes/,
  ],
]

for (const [what, yaml, expected] of CASES) {
  t.test(`hostile text is refused in bounded time: ${what}`, async (t) => {
    const started = process.cpuUsage()
    t.match(problemsOf(t, yaml)[0], expected)
    const { user, system } = process.cpuUsage(started)
    t.ok(user + system < 15_000_000, `${user + system} microseconds of CPU`)
  })
}

t.test(
  'aliases of aliases are refused before they expand: a few lines can mean billions of values',
  async (t) => {
    const levels = Array.from({ length: 12 }, (_, at) => {
      const before = at === 0 ? '1' : `*l${at - 1}`
      return `l${at}: &l${at} [${Array(10).fill(before).join(', ')}]`
    })
    const lines = problemsOf(t, levels.join('\n'))
    t.match(lines.join('\n'), /main\.yaml:6: l5: holds more than 200000 values, aliases counted each time/)
  },
)
