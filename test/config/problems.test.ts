import t from 'tap'
import { formatProblem } from '../../src/config/config.js'
import { directoryOf, linesOf, loadFrom, loadText, problemsOf } from './files.js'

const SYNTAX: [what: string, yaml: string, line: string][] = [
  [
    'a tab',
    'mode: observe\nlog:\n\tlevel: info',
    'main.yaml:3: a tab indents this line: use spaces (column 1)',
  ],
  [
    'a bracket left open',
    'mirrors:\n  ports: [80, 443\nmode: observe',
    'main.yaml:3: a closing ] is missing before this line (column 1)',
  ],
  [
    'a colon left out',
    'mode: observe\nlog:\n  level info\n  destination: stdout',
    'main.yaml:3: this line has no "key: value"',
  ],
  [
    'a quote left open',
    'mode: "observe\nblock: drop\n',
    'main.yaml:3: a quote or bracket that was opened before is not closed',
  ],
  ['two values on a line', 'log: level: info', 'main.yaml:1: there are two "key: value" on one line'],
  [
    'a second document',
    'mode: observe\n---\nmode: enforce',
    'main.yaml:2: a second YAML document begins here',
  ],
  ['a character with a meaning in YAML', 'mode: @x', 'main.yaml:1: is not valid YAML: '],
  ['a key that is a list', '[a]: 1', 'main.yaml:1: a key is one word'],
  ['a tag', 'mode: !foo observe', 'main.yaml:1: is not valid YAML: Unresolved tag: !foo'],
  [
    'a wildcard without quotes',
    'mirrors:\n  hosts: [*.example.org]',
    'main.yaml:2: mirrors.hosts[0]: *.example.org must be in quotes: "*.example.org"',
  ],
  [
    'a star without quotes',
    'mirrors: { hosts: [ * ] }',
    'main.yaml:1: a word that begins with * must be in quotes',
  ],
  ['a list at the top', '- mode: observe', 'main.yaml:1: must hold keys with values, like `mode: ...`'],
  ['a word at the top', '\nobserve', 'main.yaml:2: must hold keys with values, like `mode: ...`'],
]

for (const [what, yaml, expected] of SYNTAX) {
  t.test(`bad YAML is reported with its line: ${what}`, async (t) => {
    t.equal(problemsOf(t, yaml)[0]?.slice(0, expected.length), expected)
  })
}

t.test('the problems of all sources are reported together, file by file, from top to bottom', async (t) => {
  const directory = directoryOf(t, {
    'main.yaml': 'mirrors: { ports: [70000] }\nmode: on\nallow: [{ name: a, to: [192.0.2.1] }]',
    'conf.d/10.yaml': 'allow:\n  - { name: b, to: [192.0.2.1] }\n  - { name: a, to: [10.0.0.1/8] }\nblok: 1',
    'conf.d/20.yaml': 'queue: [\n',
    'conf.d/30.yaml': '# nothing\n',
  })
  const environment = {
    CHECKVALVE_QUEUE_FIRST: 'x',
    CHECKVALVE_FOO: '1',
    CHECKVALVE_MOD: '1',
    CHECKVALVE_BLOCK: '',
  }
  const set = [
    'mode',
    '=x',
    'log.levl=info',
    'metrics.listen=[::1]:99999',
    'mirrors=5',
    'mirrors.users=[nobody-here]',
  ]
  const lines = linesOf(loadFrom(directory, { environment, set }), directory)
  t.same(
    lines.map((line) => line.replace(/: (must|is|has|unknown|a|there|"\S+"|only) .*/s, '')),
    [
      'main.yaml:1: mirrors.ports[0]',
      'main.yaml:2: mode',
      'conf.d/10.yaml:3: allow[1].to[0]',
      'conf.d/10.yaml:3: allow[1].name',
      'conf.d/10.yaml:4: blok',
      'conf.d/20.yaml:2',
      'environment CHECKVALVE_BLOCK: block',
      'environment CHECKVALVE_FOO',
      'environment CHECKVALVE_MOD',
      'environment CHECKVALVE_QUEUE_FIRST: queue.first',
      '--set mode',
      '--set =x',
      '--set log.levl',
      '--set mirrors',
      '--set mirrors.users[0]',
      '--set metrics.listen',
    ],
  )
  t.match(
    lines.find((line) => line.includes('allow[1].name')),
    /at main\.yaml:3$/,
  )
  t.match(
    lines.find((line) => line.includes('_MOD:')),
    /did you mean CHECKVALVE_MODE\?/,
  )
})

t.test('a problem can neither control the terminal nor fill it', async (t) => {
  const line = problemsOf(t, `"\\e[31m${'x'.repeat(5000)}": 1\n`)[0]!
  t.notMatch(line, /\p{Cc}/u)
  t.ok(line.length <= 1000)
  t.equal(formatProblem({ origin: { file: 'f', line: 1 }, key: '', reason: 'a\nb' }), 'f:1: a?b')
})

t.test(
  'a second rule with the same name is reported, also when it comes from the command line',
  async (t) => {
    const set = ['allow=[{ name: a, to: [192.0.2.1] }, { name: a, to: [192.0.2.2] }]']
    t.same(linesOf(loadText(t, 'mode: observe', { set })), [
      '--set allow[1].name: "a" is the name of another rule already, at allow[0].name',
    ])
  },
)
