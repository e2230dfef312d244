/** Protects updates (a new socket of root is never taken for a used one) and the mirrors (a used one is recognised). */
import t from 'tap'
import { TurnedAround } from '../../src/sessions/turned-around.js'

const ENDS = [4, new Uint32Array(4), 1, new Uint32Array(4), 2, 0] as const
const WRAP = 2 ** 32
const HOUR = 3600_000
/** The clock of the kernel begins five minutes before its 32 bits wrap, and a quarter of a second late here. */
const ofNewSocket = (uptime: number) => (((uptime - 300_250) % WRAP) + WRAP) % WRAP

/** @param uptime milliseconds, which a test may change */
function checking(state: { uptime: number; lastAck?: number | undefined; listened?: boolean }) {
  const sockets = { opening: () => ({ number: '1,2', lastAck: state.lastAck }) }
  const turned = new TurnedAround(sockets, { hasListened: () => state.listened ?? false }, () => state.uptime)
  const is = (lastAck: number | undefined) => {
    state.lastAck = lastAck
    return turned.is(...ENDS)
  }
  const learn = (lastAck: number | undefined) => {
    state.lastAck = lastAck
    turned.learn(...ENDS)
  }
  return { is, learn }
}

t.test(
  'a socket that had a connection is recognised at any time after the boot, a new one is not',
  async (t) => {
    for (const start of [20_000, 299_000, 301_000, HOUR, WRAP - 1000, WRAP + 299_000, 3 * WRAP + HOUR]) {
      const state = { uptime: start }
      const { is, learn } = checking(state)
      learn(ofNewSocket(start))
      for (const later of [0, 1, 30_000, HOUR, WRAP / 2, WRAP - 1]) {
        state.uptime = start + later
        const fresh = ofNewSocket(state.uptime)
        t.equal(is(fresh), false, `new: ${start} ${later}`)
        t.equal(is((fresh + 900) % WRAP), false, 'the clocks differ by some milliseconds')
        for (const idle of [0, 8, 60_000, 24 * HOUR])
          if (Math.abs(fresh - idle) > 2000 && Math.abs(fresh - idle) < WRAP - 2000)
            t.equal(is(idle), true, `used ${idle} ms ago: ${start} ${later}`)
      }
    }
  },
)

t.test(
  'before the clock is known, and on a kernel with another clock, no socket is taken for a used one',
  async (t) => {
    const { is, learn } = checking({ uptime: HOUR })
    t.equal(is(8), false)
    learn(1_000_000)
    t.equal(is(8), false, 'a new socket of this kernel shows something else')
    learn(undefined)
    t.equal(is(8), false, 'it shows nothing')
    learn(ofNewSocket(HOUR))
    t.equal(is(8), true)
    t.equal(is(undefined), false)
    learn(1_000_000)
    t.equal(is(8), false)
  },
)

t.test('a socket that has listened for root is recognised without the clock', async (t) => {
  const { is } = checking({ uptime: HOUR, listened: true })
  t.equal(is(undefined), true)
})
