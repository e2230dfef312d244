import t from 'tap'
import { clip } from '../../src/text/clip.js'

const bytesOf = (text: string) => Buffer.byteLength(JSON.stringify(text)) - 2

t.test('text within the limit is unchanged', async (t) => {
  for (const text of [
    '',
    'a'.repeat(20),
    'é'.repeat(10),
    '"'.repeat(10),
    '\u0001\u0002\u0003',
    '🧀'.repeat(5),
  ])
    t.equal(clip(text, 20), text)
})

t.test('longer text is cut to the limit in JSON, for any characters', async (t) => {
  for (const letter of ['a', 'é', '"', '\\', '\u0001', '🧀', '\ud800', '\n'])
    for (const length of [21, 50, 5000]) {
      const cut = clip(letter.repeat(length), 20)
      t.ok(cut.endsWith('…'))
      t.ok(
        bytesOf(cut) <= 20 && bytesOf(cut) > 20 - bytesOf(letter),
        `${JSON.stringify(cut)} has ${bytesOf(cut)} bytes`,
      )
      t.equal(cut.slice(0, -1), letter.repeat(length).slice(0, cut.length - 1))
    }
})
