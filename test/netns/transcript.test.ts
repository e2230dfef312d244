import t from 'tap'
import { stepsOf, withOutputs } from './transcript.js'

const DOCUMENT = `# Title

Text with a \`$ sign\`.

<!-- meanwhile: rain -->

\`\`\`console
$ first
one

two
$ second
$ third
three
\`\`\`

\`\`\`yaml
$ not: a command
\`\`\`
`

t.test(
  'the steps of a document are its commands with their outputs, and its events, in their order',
  async (t) => {
    t.same(stepsOf(DOCUMENT), [
      { kind: 'event', line: 5, name: 'rain' },
      { kind: 'command', line: 8, command: 'first', output: 'one\n\ntwo' },
      { kind: 'command', line: 12, command: 'second', output: '' },
      { kind: 'command', line: 13, command: 'third', output: 'three' },
    ])
  },
)

t.test('new outputs replace those of the document, and nothing else changes', async (t) => {
  t.equal(withOutputs(DOCUMENT, ['one\n\ntwo', '', 'three']), DOCUMENT)
  const changed = withOutputs(DOCUMENT, ['1', '2\n3', ''])
  t.same(
    stepsOf(changed).flatMap((step) => (step.kind === 'command' ? [step.output] : [])),
    ['1', '2\n3', ''],
  )
  t.equal(withOutputs(changed, ['one\n\ntwo', '', 'three']), DOCUMENT)
})
