import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import type { Config } from '../../src/config/config.js'
import type { VerdictCount } from '../../src/core/record/verdict-counts.js'
import { Canary, type CanaryOptions } from '../../src/packet-path/canary.js'

/** BLOCKED has the labels of an attempt that the service blocks. */
const BLOCKED = { verdict: 'block', reason: 'canary', protocol: 'tcp', family: 'ipv4' } as const
const INTERVAL = 60
const LOOPBACK = Uint32Array.of(0x7f000001, 0, 0, 0)

/** Returns a loopback port with a listener, or one whose listener is closed. */
async function target(t: Test, isListening: boolean): Promise<number> {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  if (isListening) t.teardown(() => server.close())
  else await new Promise((resolve) => server.close(resolve))
  return port
}

/** Makes a canary with counters that the test sets; each tick starts the next attempt. */
function trying(port: number, counted: Partial<VerdictCount> | undefined) {
  const state = {
    lines: [] as string[],
    counted,
    mode: 'enforce' as Config['mode'],
    now: 1_800_000_000_000,
    isRouted: true,
    six: false,
  }
  let packets = 0
  function* counts(): Generator<VerdictCount> {
    if (state.counted) yield { ...BLOCKED, packets: ++packets, ...state.counted }
  }
  const log = { error: (line: string) => void state.lines.push(line) }
  const policy: ReturnType<CanaryOptions['policy']> = { rules: [] }
  const canary = new Canary({
    counts: { counts },
    log: log as unknown as CanaryOptions['log'],
    policy: () => policy,
    targetsOf: async ({ canary: { target } }) => ({
      4: state.isRouted ? target : undefined,
      6: state.six ? { ...target, family: 6 } : undefined,
    }),
  })
  const tick = (seconds = INTERVAL) => {
    state.now += seconds * 1000
    const tried = {
      target: { host: '127.0.0.1', port, family: 4 as const, words: LOOPBACK },
      interval: INTERVAL,
    }
    return canary.tick({ mode: state.mode, canary: tried }, state.now)
  }
  return Object.assign(state, { canary, tick, policy })
}

t.test('a connection that fails and was counted as blocked is the proof that blocking works', async (t) => {
  const its = trying(await target(t, false), {})
  t.equal(its.canary.proven, undefined)
  await its.tick()
  t.equal(its.canary.proven, true)
  t.same(its.lines, [])
})

for (const counted of [
  undefined,
  { verdict: 'would-block' },
  { reason: 'not-allowlisted' },
  { protocol: 'udp' },
] as const)
  t.test(
    `an attempt that was counted as ${JSON.stringify(counted)} proves nothing, and is logged once`,
    async (t) => {
      const its = trying(await target(t, false), counted as Partial<VerdictCount> | undefined)
      await its.tick()
      await its.tick()
      t.equal(its.canary.proven, false)
      t.equal(its.lines.length, 1)
      t.match(its.lines[0], 'the canary connection to 127.0.0.1 was not seen by this service')
    },
  )

t.test('a connection that succeeds is no proof, whatever was counted', async (t) => {
  const its = trying(await target(t, true), {})
  await its.tick()
  t.equal(its.canary.proven, false)
  t.match(its.lines, ['the canary connection to 127.0.0.1 got through'])
})

t.test('in mode observe a missing proof is not logged', async (t) => {
  const its = trying(await target(t, false), undefined)
  its.mode = 'observe'
  await its.tick()
  t.equal(its.canary.proven, false)
  t.same(its.lines, [])
})

t.test('an attempt is made once per interval, and at once after a change of the mode', async (t) => {
  const its = trying(await target(t, false), {})
  await its.tick()
  its.counted = undefined
  await its.tick(INTERVAL - 1)
  t.equal(its.canary.proven, true)
  its.canary.reset()
  t.equal(its.canary.proven, undefined)
  await its.tick(0)
  t.equal(its.canary.proven, false)
})

t.test('the result of an attempt that began before a change of the mode is ignored', async (t) => {
  const its = trying(await target(t, false), undefined)
  const attempt = its.tick()
  its.canary.reset()
  await attempt
  t.equal(its.canary.proven, undefined)
  t.same(its.lines, [])
})

t.test('each family is proved by its own packets', async (t) => {
  const its = trying(await target(t, false), {})
  its.six = true
  await its.tick()
  t.same(its.canary.proofs, { ipv4: 'yes', ipv6: 'no' })
  t.equal(its.canary.proven, false)
  t.equal(its.lines.length, 1)
  t.match(its.policy.moreCanaries, [{ family: 4 }, { family: 6 }], 'the policy knows where canaries go')
  its.counted = { family: 'ipv6' }
  await its.tick()
  t.same(its.canary.proofs, { ipv4: 'no', ipv6: 'yes' })
})

t.test('a family without a route has nothing to prove, and is proved as soon as it has one', async (t) => {
  const its = trying(await target(t, false), {})
  its.isRouted = false
  await its.tick()
  t.same(its.canary.proofs, { ipv4: 'no-route', ipv6: 'no-route' })
  t.equal(its.canary.proven, undefined)
  t.same(its.lines, [])
  its.isRouted = true
  await its.tick()
  t.same(its.canary.proofs, { ipv4: 'yes', ipv6: 'no-route' })
  t.equal(its.canary.proven, true)
})
