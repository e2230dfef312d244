import t from 'tap'
import { schema } from '../../src/config/schema.js'
import { settingsByKey } from '../../src/config/setting-table.js'
import { problemsOf } from './files.js'

const settings = settingsByKey(schema)

t.test('every setting says what it means', async (t) => {
  for (const [key, setting] of settings) t.match(setting.doc, /^.{10,110}$/, key)
})

t.test('every setting has its own environment variable, spelled by one rule', async (t) => {
  for (const [key, { env }] of settings) {
    const words = key.replace(/[A-Z]/g, '_$&').replaceAll('.', '_').toUpperCase()
    t.equal(env, `CHECKVALVE_${words}`, key)
  }
})

const FLAGS = [
  ...['infrastructure.dhcp', 'mirrors.discover'],
  ...['holdAnswers', 'resolve', 'enforceNames', 'searchDomains', 'reverse'].map((name) => `dns.${name}`),
]
/** They may be written in seconds. */
const DURATIONS = [
  ...['sessions.tcpTimeout', 'sessions.udpTimeout', 'dns.holdTime', 'dns.grace'],
  ...['containment.window', 'containment.duration', 'canary.interval'],
]

/** Values as YAML, one of each type; a setting may accept some of them. */
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

t.test('a value of a wrong type is a problem that names its setting, wherever it was written', async (t) => {
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
