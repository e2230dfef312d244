import t from 'tap'
import {
  jsonText,
  terminalSafe,
  terminalSafeField,
  terminalSafeFields,
  terminalSafeJson,
  terminalSafeLines,
  terminalSafeWord,
} from '../../src/text/terminal-safe.js'

/** HOSTILE has characters that control a terminal, or that change how their neighbours look. */
const HOSTILE = [
  '\x1b[2J',
  '\x1b]0;title\x07',
  '\x00',
  '\x7f',
  '\x9b31m',
  '\r\n',
  '\b\b',
  '\u202e',
  '\u2066',
  '\u200b',
  '\u2028',
  '\ufeff',
  '\ufff9',
  '\ud800',
  '\udfff',
  '\ue000',
  '\u0301',
  '\u3164',
  '\u05d0',
  '\u0661',
  '\u{1e900}',
  '\u{e0041}',
]
const nameOf = (text: string) => [...text].map((each) => each.codePointAt(0)!.toString(16)).join(' ')

const SAFE = /^[\x20-\x7e]*$/

t.test('characters that control a terminal are escaped', async (t) => {
  for (const text of HOSTILE) {
    t.match(terminalSafe(`a${text}b`), SAFE, nameOf(text))
    t.match(terminalSafe(`a${text}b`), /^a.+b$/)
    t.match(terminalSafeWord(`a${text}b`), SAFE)
  }
  t.equal(terminalSafe('\x1b[31mred\x9b0m'), '\\x1b[31mred\\x9b0m')
  t.equal(terminalSafe('evil\u202etxt'), 'evil\\u{202e}txt')
})

t.test('ordinary text is unchanged', async (t) => {
  for (const text of [
    'www-data',
    'dev-disk-by\\x2duuid.mount',
    'Größe',
    '日本語',
    'a b',
    '/usr/bin/gcc-12',
    '�',
  ])
    t.equal(terminalSafe(text), text)
})

t.test('spaces in a single field are escaped: they would make it look like several fields', async (t) => {
  t.equal(terminalSafeWord('x 203.0.113.9:443/tcp ok'), 'x\\x20203.0.113.9:443/tcp\\x20ok')
  t.equal(terminalSafeWord('a\u00a0b\u2003c'), 'a\\xa0b\\u{2003}c')
})

t.test('long text is cut', async (t) => {
  t.equal(terminalSafe('x'.repeat(300)), `${'x'.repeat(255)}...`)
  t.equal(terminalSafe('abcdef', 3), 'abc...')
})

t.test('a line of JSON stays the same JSON, and does not control a terminal', async (t) => {
  for (const text of HOSTILE) {
    const fields = { [`key${text}`]: `a${text}b`, list: [text] }
    const line = `{"raw":\t${JSON.stringify(fields)}}`
    t.match(terminalSafeJson(line), SAFE, nameOf(text))
    t.same(JSON.parse(terminalSafeJson(line)), { raw: fields })
  }
})

t.test('JSON for programs does not control a terminal either, in one line or several', async (t) => {
  for (const text of HOSTILE)
    for (const indent of [undefined, 2]) {
      const written = jsonText({ programs: [`a${text}b`] }, indent)
      for (const line of written.split('\n')) t.match(line, SAFE, nameOf(text))
      t.equal(written.split('\n').length, indent === undefined ? 1 : 5)
      t.same(JSON.parse(written), { programs: [`a${text}b`] })
    }
})

t.test('fields stay safe after their JSON is decoded, at any depth, and lose nothing', async (t) => {
  for (const text of HOSTILE) {
    const fields = terminalSafeFields([{ stack: `a${text}b`, list: [text, 7, null, true] }, `a${text}b`])
    const [{ stack, list }, message] = fields as [{ stack: string; list: unknown[] }, string]
    for (const each of [stack, list[0], message]) t.match(each, SAFE, nameOf(text))
    t.same(list.slice(1), [7, null, true])
  }
  const long = 'x'.repeat(5000)
  t.equal(terminalSafeField(long), long)
})

t.test('lines of a command keep line feeds, tabs and their own colours, and nothing else', async (t) => {
  t.equal(terminalSafeLines('a\n\tb \x1b[31mred\x1b[0m\n'), 'a\n\tb \x1b[31mred\x1b[0m\n')
  for (const text of HOSTILE)
    for (const line of terminalSafeLines(`\x1b[1ma${text}b\x1b[0m`).split(/\n/))
      t.match(line.replace('\x1b[1m', '').replace('\x1b[0m', ''), SAFE, nameOf(text))
})
