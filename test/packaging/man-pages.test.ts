import { readFileSync } from 'node:fs'
import t from 'tap'
import { pages } from '../../packaging/man/pages.js'
import { fromMarkdown } from '../../packaging/man/roff.js'
import { allCommands } from '../../src/commands/registry.js'
import { schema } from '../../src/config/schema.js'
import { settingsByKey } from '../../src/config/setting-table.js'
import { run } from '../lab/command.js'
import { FIELDS } from '../records/block-log/fields.js'

const COMMANDS = await allCommands()
const PAGES = pages({
  version: '1.2.3',
  commands: COMMANDS,
  configuration: readFileSync('docs/configuration.md', 'utf8'),
  log: readFileSync('docs/log.md', 'utf8'),
})

/** The page as it is read: without the marks of the language. */
const plain = (name: string) =>
  PAGES.get(name)!
    .replace(/\\f[BR]|\\%|\\&/g, '')
    .replaceAll('\\-', '-')
    .replaceAll('\\e', '\\')

/** Returns what is below a subsection, up to the next heading. */
function belowHeading(page: string, title: string): string {
  const [, text = ''] = page.split(`.SS "${title}"\n`)
  return text.split(/^\.S[SH] /m)[0]!
}

t.test('checkvalve(8) has each command with its options and examples, and the options of all', async (t) => {
  const page = plain('checkvalve.8')
  for (const { name, options = {}, examples } of COMMANDS) {
    const text = belowHeading(page, name)
    for (const option of Object.keys(options)) t.match(text, `--${option}`, `${name} --${option}`)
    for (const line of examples) t.ok(text.includes(line), `${name}: ${line}`)
  }
  for (const option of ['--config', '--set']) t.match(page, `\n.TP\n${option} `)
})

t.test('checkvalve.yaml(5) has each setting of the schema, with its default', async (t) => {
  const page = plain('checkvalve.yaml.5')
  for (const [key, { default: value }] of settingsByKey(schema)) {
    const text = Array.isArray(value) ? `[${value.join(', ')}]` : String(value)
    const wanted = key === 'firewall.mark.mask' ? '0x3f000000' : text
    if (key.startsWith('containment.')) t.match(page, key)
    else t.ok(page.includes(`\n.TP\n${key}\ndefault: ${wanted}\n`), `${key}: ${wanted}`)
  }
})

t.test('checkvalve-log(5) has each field of a line', async (t) => {
  const terms = [...plain('checkvalve-log.5').matchAll(/^\.TP\n(.*)$/gm)].flatMap(([, term]) =>
    term!.split(', '),
  )
  for (const field of Object.keys(FIELDS)) t.ok(terms.includes(field), field)
})

t.test('each page says its name, chapter and version, and what it is', async (t) => {
  t.same([...PAGES.keys()], ['checkvalve.8', 'checkvalve.yaml.5', 'checkvalve-log.5'])
  for (const [file, page] of PAGES) {
    const [, name, chapter] = /^(.*)\.(\d)$/.exec(file)!
    const start = plain(file).split('\n').slice(0, 3).join('\n')
    t.match(start, `.TH "${name}" ${chapter} "" "checkvalve 1.2.3"`)
    t.match(start, `\n.SH "NAME"\n${name} - `)
    t.notMatch(page, /\]\(|`/, 'no markdown is left')
  }
})

t.test('a text cannot give orders to the formatter, and loses none of its characters', async (t) => {
  t.equal(fromMarkdown('.so /etc/passwd\n'), '.PP\n\\&.so /etc/passwd\n')
  t.equal(fromMarkdown("a\n'b \\x\n"), ".PP\na\n\\&'b \\ex\n")
  t.equal(fromMarkdown('```\n.a --b\n```\n'), '.PP\n.RS 4\n.EX\n\\&.a \\-\\-b\n.EE\n.RE\n')
})

t.test('a formatter shows each page without a complaint', async (t) => {
  for (const [name, input] of PAGES) {
    const { stdout, stderr } = await run('page', ['mandoc', '-T', 'utf8', '-W', 'error'], { input })
    t.equal(stderr, '', name)
    t.match(stdout, `${name.slice(0, -2)}(${name.at(-1)})`, name)
  }
})

t.test('markdown that a page cannot show is refused, not left out', async (t) => {
  t.throws(() => fromMarkdown('> quoted\n'), /blockquote/)
  t.throws(() => fromMarkdown('![picture](a.svg)\n'), /image/)
})
