import t from 'tap'
import { halfSipHash } from '../../../src/core/bounded/siphash.js'

const KEY = Uint32Array.of(0x03020100, 0x07060504)
const MESSAGE = Uint32Array.of(0x03020100, 0x07060504, 0x0b0a0908)

t.test(
  "the hash is HalfSipHash-1-3: it equals the vectors of the kernel's lib/siphash_kunit.c",
  async (t) => {
    const hashes = [0, 1, 2, 3].map((count) => halfSipHash(KEY, MESSAGE, count, (count * 4) << 24) >>> 0)
    t.same(hashes, [0x5814c896, 0x7e059ea6, 0x577999b1, 0x6b28096c])
  },
)

t.test('every part of the input changes the hash', async (t) => {
  const hash = halfSipHash(KEY, MESSAGE, 3, 0)
  t.not(halfSipHash(Uint32Array.of(0x03020101, 0x07060504), MESSAGE, 3, 0), hash)
  t.not(halfSipHash(Uint32Array.of(0x03020100, 0x07060505), MESSAGE, 3, 0), hash)
  t.not(halfSipHash(KEY, Uint32Array.of(0x03020100, 0x87060504, 0x0b0a0908), 3, 0), hash)
  t.not(halfSipHash(KEY, MESSAGE, 3, 1), hash)
})
