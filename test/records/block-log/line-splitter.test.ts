import t from 'tap'
import { LINE_AT_MOST } from '../../../src/records/block-log/event-reader.js'
import { LineSplitter } from '../../../src/records/block-log/line-splitter.js'
import { seededRandom } from '../../core/random.js'

/** Pushes a text in pieces of these lengths. */
function split(text: string, lengthOf: () => number) {
  const bytes = Buffer.from(text)
  const splitter = new LineSplitter()
  const lines: (string | undefined)[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = Math.max(1, lengthOf())
    lines.push(...splitter.push(bytes.subarray(at, at + length)))
    at += length
  }
  const { end } = splitter
  return { lines, end, rest: splitter.flush() }
}

t.test(
  'lines are the same in whatever pieces the bytes arrive, also when a letter is cut in two',
  async (t) => {
    const random = seededRandom(3)
    const text = ['', 'a', 'bcd', 'größe', '日本', '{"x":1}', '', '𝒳', 'last'].join('\n')
    for (let round = 0; round < 500; round++) {
      const { lines, end, rest } = split(text, () => random(1 + random(8)))
      t.same([...lines, ...rest], text.split('\n'))
      t.equal(end, Buffer.byteLength(text) - 'last'.length)
    }
  },
)

t.test('bytes that are not UTF-8 become visible characters, and do not affect other lines', async (t) => {
  const splitter = new LineSplitter()
  t.same(splitter.push(Buffer.from([0x61, 0xff, 0x62, 0x0a, 0x63, 0x0a])), ['a\ufffdb', 'c'])
})

t.test('a line that is too long is reported once, is never kept, and ends at its line feed', async (t) => {
  for (const size of [LINE_AT_MOST + 1, 1024 * 1024, 3 * 1024 * 1024]) {
    const text = `first\n${'x'.repeat(size)}\nlast\n`
    for (const piece of [100, 4096, 256 * 1024, 10_000_000]) {
      const { lines, end, rest } = split(text, () => piece)
      t.same(lines, ['first', undefined, 'last'], `the line has ${size} bytes, in pieces of ${piece}`)
      t.same([end, rest], [text.length, []])
    }
  }
  const { lines, rest } = split('x'.repeat(LINE_AT_MOST * 2), () => 1000)
  t.same([lines, rest], [[], [undefined]])
})

t.test('the longest permitted line is kept whole', async (t) => {
  const line = 'x'.repeat(LINE_AT_MOST)
  t.same(split(`${line}\n`, () => 1000).lines, [line])
})
