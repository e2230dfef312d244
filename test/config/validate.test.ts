import convict from 'convict'
import t from 'tap'
import { formatProblem } from '../../src/config/problems.js'
import { schema } from '../../src/config/schema.js'
import { type Settings, settingsByKey } from '../../src/config/setting-table.js'
import { fromCommandLine, fromEnvironment, fromFile, mergeFiles } from '../../src/config/sources.js'
import { validate } from '../../src/config/validate.js'
import { configOf, loadText, lookup, problemsOf } from './files.js'

const settings = settingsByKey(schema)

t.test('every setting has a description', async (t) => {
  for (const [key, setting] of settings) t.match(setting.doc, /^.{10,110}$/, key)
})

t.test('every setting has its own environment variable, with a name made by one rule', async (t) => {
  for (const [key, { env }] of settings) {
    const words = key.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()
    t.equal(env, `CHECKVALVE_${words}`, key)
  }
})

const FLAGS = [
  ...['infrastructure.dhcp', 'mirrors.discover'],
  ...['holdAnswers', 'resolve', 'enforceNames', 'searchDomains', 'reverse'].map((name) => `dns.${name}`),
]
/** DURATIONS lists the settings that may be written in seconds. */
const DURATIONS = [
  ...['sessions.tcpTimeout', 'sessions.udpTimeout', 'dns.holdTime', 'dns.grace', 'dns.keepUsed'],
  ...['containment.window', 'containment.duration', 'canary.interval'],
]

/** VALUES has one YAML value of each type; a setting may accept some of them. */
const VALUES = [
  '~',
  'true',
  '-1',
  '1.5',
  '"\\u0001"',
  '{ a: 1 }',
  '{}',
  '[[]]',
  '[{}]',
  '[~]',
  '[true]',
  '[-1]',
  '.nan',
  '.inf',
]

t.test('a value of a wrong type is a problem that names its setting, from every source', async (t) => {
  for (const [key, { env }] of settings) {
    for (const value of VALUES) {
      if (value === 'true' && FLAGS.includes(key)) continue
      if (value === '1.5' && DURATIONS.includes(key)) continue
      const nested = key.split('.').reduceRight((inner, name) => `{ ${name}: ${inner} }`, value)
      const expected = new RegExp(`: ${key.replaceAll('.', '\\.')}(\\[0\\](\\[0\\])?)?: `)
      t.match(problemsOf(t, nested)[0], expected, `${key}: ${value}`)
      const [line] = problemsOf(t, 'mode: observe', { environment: { [env]: value } })
      t.match(line, new RegExp(`^environment ${env}: ${key.replaceAll('.', '\\.')}`), value)
      const [set] = problemsOf(t, 'mode: observe', { set: [`${key}=${value}`] })
      t.match(set, new RegExp(`^--set ${key.replaceAll('.', '\\.')}`), value)
    }
  }
})

/** ENGINE is a schema whose settings are named nowhere else. */
const ENGINE = {
  engine: {
    speed: { doc: 'Speed', format: 'count', min: 1, max: 9, default: 3, env: 'CHECKVALVE_SPEED' },
    pause: { doc: 'Pause', format: 'duration', min: '1s', max: '1h', default: '2m', env: 'CHECKVALVE_PAUSE' },
  },
} as const satisfies Settings

/** Validates a file, variables and `--set` against that schema. */
function engine(text: string, environment: Record<string, string> = {}, set: string[] = []) {
  const sources = {
    files: mergeFiles([fromFile({ file: 'main.yaml', text }, ENGINE, false)]),
    environment: fromEnvironment(environment, ENGINE).values,
    commandLine: fromCommandLine(set, ENGINE).values,
  }
  const { values, problems } = validate(ENGINE, sources, lookup)
  return problems.length > 0 ? problems.map(formatProblem) : values.engine
}

t.test('a setting needs only its entry in the schema', async (t) => {
  t.same(engine(''), { speed: 3, pause: 120 }, 'the default comes from the schema')
  t.same(engine('engine: { speed: 4 }'), { speed: 4, pause: 120 })
  const environment = { CHECKVALVE_SPEED: '5', CHECKVALVE_PAUSE: '90s' }
  t.same(
    engine('engine: { speed: 4 }', environment),
    { speed: 5, pause: 90 },
    'the name of the variable comes from the schema',
  )
  t.same(engine('', environment, ['engine.speed=6', 'engine.pause=1h']), { speed: 6, pause: 3600 })
  t.same(engine('engine:\n  speed: 4\n  pause: 2h', { CHECKVALVE_SPEED: '0' }), [
    'environment CHECKVALVE_SPEED: engine.speed: must be a whole number from 1 to 9, not 0',
    'main.yaml:3: engine.pause: must be a duration from 1s to 1h, not "2h"',
  ])
})

t.test(
  'convict accepts the schema unchanged: with its defaults, its variables and its formats',
  async (t) => {
    const env = { CHECKVALVE_MODE: 'enforce', CHECKVALVE_MIRRORS_PORTS: '[80, "8000-8010"]' }
    const config = convict(schema as unknown as convict.Schema<unknown>, { env, args: [] })
    for (const [key, setting] of settings) t.same(config.default(key as never), setting.default, key)
    t.match(config.getProperties(), {
      mode: 'enforce',
      mirrors: { ports: [80, '8000-8010'] },
      canary: { interval: '30s' },
    })
    const typo = { mode: { ...schema.mode, format: 'chioce' } }
    t.throws(
      () => convict(typo as unknown as convict.Schema<unknown>),
      /'mode' uses an unknown format type: chioce/,
    )
  },
)

t.test(
  'convict checks last: it refuses a value of no setting, even when no other check has found it',
  async (t) => {
    const origin = { file: 'main.yaml', line: 1 }
    const files = new Map([['engine.colour', { origin, key: 'engine.colour', value: 1 }]])
    const sources = { files, environment: new Map(), commandLine: new Map() }
    const { problems } = validate(ENGINE, sources, lookup)
    t.match(problems.map(formatProblem), [/'engine\.colour' not declared in the schema/])
  },
)

t.test('a group may be given to --set as a whole', async (t) => {
  t.same(engine('', {}, ['engine={ speed: 7, pause: 10s }']), { speed: 7, pause: 10 })
})

t.test('a path is not read as YAML: text from the environment is used as it is', async (t) => {
  const environment = { CHECKVALVE_STATE_DIRECTORY: '/srv/a #1: b' }
  t.equal(configOf(loadText(t, 'mode: observe', { environment })).state.directory, '/srv/a #1: b')
  t.equal(configOf(loadText(t, 'state: { directory: "/srv/a #1: b" }')).state.directory, '/srv/a #1: b')
})
