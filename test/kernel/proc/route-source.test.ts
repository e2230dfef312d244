import t from 'tap'
import { sourceFor } from '../../../src/kernel/proc/route-source.js'
import { words } from '../../core/packets.js'

t.test('the source of a packet is found by its route, and a missing route is an error', async (t) => {
  // Tests run in a network namespace that has loopback only.
  t.same(await sourceFor({ family: 4, words: words('127.0.0.1') }), words('127.0.0.1'))
  for (const [family, to] of [
    [4, '198.51.100.1'],
    [6, '2001:db8::1'],
  ] as const) {
    const error = await sourceFor({ family, words: words(to) })
    t.ok(error instanceof Error, to)
    t.match((error as Error).message, /^E/)
  }
})
