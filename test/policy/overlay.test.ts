import t from 'tap'
import type { AllowEntry } from '../../src/config/config.js'
import {
  type Overlay,
  settingsOf,
  unexpired,
  withEntry,
  withoutEntry,
  withoutShadowed,
} from '../../src/policy/overlay.js'
import { configOf, loadText } from '../config/files.js'
import { entry } from './entries.js'

const NOTHING: Overlay = { mode: undefined, entries: [] }
const names = ({ entries }: Overlay) => entries.map(({ name }) => name)

t.test(
  'runtime entries follow the configured rules, and a mode that was set at run time counts',
  async (t) => {
    const configured = configOf(loadText(t, 'mode: observe\nallow: [{ name: a, to: [192.0.2.1] }]\n'))
    const { config } = settingsOf(configured, { mode: undefined, entries: [entry('b')] })
    t.same([config.mode, config.allow.map(({ name }) => name)], ['observe', ['a', 'b']])
    t.equal(settingsOf(configured, { ...NOTHING, mode: 'enforce' }).config.mode, 'enforce')
    t.same(
      [configured.mode, configured.allow.length],
      ['observe', 1],
      'the configuration itself has not changed',
    )
  },
)

t.test('a name is used once; an entry that was replaced last comes last', async (t) => {
  const written = { allow: [entry('written', { origin: { file: 'main.yaml', line: 7 } })] }
  const two = withEntry(withEntry(NOTHING, written, entry('a'), false), written, entry('b'), false)
  t.same(names(two), ['a', 'b'])
  t.throws(() => withEntry(two, written, entry('a'), false), {
    code: 'entry-exists',
    message: /"a" is a runtime entry already/,
  })
  t.throws(() => withEntry(two, written, entry('written'), true), {
    code: 'configured-rule',
    message: '"written" is a rule of the configuration, at main.yaml:7: choose another name',
  })
  const replaced = withEntry(two, written, entry('a', { expires: 5 }), true)
  t.same(
    replaced.entries.map(({ name, expires }) => [name, expires]),
    [
      ['b', undefined],
      ['a', 5],
    ],
  )
  t.same(names(withoutEntry(two, written, 'a')), ['b'])
  t.throws(() => withoutEntry(two, written, 'c'), {
    code: 'unknown-entry',
    message: 'there is no runtime entry "c": there are a, b',
  })
})

t.test('the number and the total size of runtime entries are bounded', async (t) => {
  let full = NOTHING
  for (let i = 0; i < 256; i++) full = withEntry(full, { allow: [] }, entry(`e${i}`), false)
  t.throws(() => withEntry(full, { allow: [] }, entry('more'), false), {
    code: 'too-many-entries',
    message: /256 runtime entries already/,
  })
  t.equal(
    withEntry(full, { allow: [] }, entry('e5'), true).entries.length,
    256,
    'an entry may still be replaced',
  )
  const to: AllowEntry['to'] = Array.from({ length: 1000 }, (_, i) => ({
    kind: 'name',
    name: `host${i}.${'x'.repeat(50)}.example.org`,
  }))
  let large = NOTHING
  t.throws(
    () => {
      for (let i = 0; i < 100; i++) large = withEntry(large, { allow: [] }, entry(`e${i}`, { to }), false)
    },
    { code: 'entries-too-large', message: /would be too large: write some of them into a file/ },
  )
  t.ok(large.entries.length > 3)
})

t.test('an expired entry is left out, and so is one whose name the configuration now has', async (t) => {
  const overlay: Overlay = {
    mode: 'enforce',
    entries: [entry('a', { expires: 100 }), entry('b'), entry('c', { expires: 200 })],
  }
  t.equal(unexpired(overlay, 99), overlay)
  t.same(unexpired(overlay, 100), { mode: 'enforce', entries: overlay.entries.slice(1) })
  t.same(names(unexpired(overlay, 1000)), ['b'])
  t.equal(withoutShadowed(overlay, { allow: [entry('d')] }), overlay)
  t.same(names(withoutShadowed(overlay, { allow: [entry('b'), entry('c')] })), ['a'])
})
