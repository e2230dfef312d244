/** Protects the watchdog: it is fed as long as packets are judged, and only then. */

import { NF_ACCEPT, type Verdict } from 'node-netfilter-queue'
import t from 'tap'
import type { Config } from '../../src/config/config.js'
import type { DnsWatch } from '../../src/packet-path/dns-watch.js'
import { Queues } from '../../src/packet-path/queues.js'
import type { Valve } from '../../src/packet-path/valve.js'

const QUEUE = { first: 43_000, count: 1, maxLength: 16 } as Config['queue']
const accept = (): Verdict => NF_ACCEPT
const valve = { onPacket: accept, onError: accept, onBatch: () => {} } as unknown as Valve
const resolvers = {
  onQuestion: accept,
  onAnswer: accept,
  onAnswerError: accept,
  attach: () => {},
} as unknown as DnsWatch

t.test('the service judges while its queues are bound, and waiting packets get their verdicts', async (t) => {
  const queues = new Queues()
  t.teardown(() => queues.close())
  t.equal(queues.isJudging(), false, 'nothing is bound')
  await queues.open(QUEUE, valve, resolvers)
  t.equal(queues.isJudging(), true)
  const waiting = (packets: number) =>
    queues.isJudging(() => ({ waiting: packets, dropped: 0, userDropped: 0 }))
  t.same([waiting(0), waiting(5), waiting(0), waiting(5)], [true, true, true, true], 'they wait for a moment')
  t.equal(waiting(5), false, 'some wait still, and none was judged meanwhile')
  t.equal(waiting(0), true)
  t.equal(
    queues.isJudging(() => undefined),
    true,
    'the kernel says nothing',
  )
  queues.close()
  t.equal(queues.isJudging(), false)
})
