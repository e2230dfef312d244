import t from 'tap'
import { inNamespace, isRoot, OUTER_GID, OUTER_UID, run, SCENARIOS, WITHOUT_CAPABILITIES } from './helper.js'

t.jobs = 4

async function report(scenario: string) {
  const outcome = await inNamespace(scenario)
  if (outcome.code !== 0 || outcome.stderr) throw new Error(`${scenario}: ${outcome.code} ${outcome.stderr}`)
  return outcome.report
}

const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)
const odd = range(20).filter((i) => i % 2)

t.test('an accepted packet arrives, a dropped packet does not', async (t) => {
  t.match(await report('acceptAndDrop'), {
    arrived: odd,
    stats: { packets: 20, unreadable: 0, sendFailures: 0 },
  })
})

t.test(
  'an accepted packet skips the rules below; a repeated packet meets the rules above, with its mark',
  async (t) => {
    const { arrived, counters } = await report('repeat')
    t.same(
      arrived.sort((a: number, b: number) => a - b),
      range(20),
    )
    t.same(counters, [10, 10])
  },
)

t.test(
  'a packet is sent with the bytes that its handler has left, or is a fault when it was not whole',
  async (t) => {
    const { arrived, errors, stats } = await report('sendBytes')
    const expected = range(20).flatMap((n) => (n % 6 === 0 ? [] : [n % 3 === 0 ? 0x1000000 + n : n]))
    t.same(
      arrived.sort((a: number, b: number) => a - b),
      expected.sort((a, b) => a - b),
    )
    t.same(errors, ['RangeError', 'RangeError', 'RangeError', 'RangeError'])
    t.equal(stats.sendFailures, 0)
  },
)

t.test(
  'a held packet gets its verdict later, once, and no verdict for another packet decides it',
  async (t) => {
    const { before, after, first, again, stats, closed } = await report('hold')
    t.same(before, { arrived: range(30).filter((i) => i % 3 === 1), held: 10 })
    t.same(after, { arrived: [27, 21, 15, 9, 3], held: 0 })
    t.same(first, Array(10).fill(true))
    t.same(again, Array(10).fill(false))
    t.match(stats, { packets: 30, sendFailures: 0 })
    t.equal(closed, false)
  },
)

t.test('of 1,000 packets with mixed verdicts exactly the intended ones arrive', async (t) => {
  const { wanted, arrived, largestBatch } = await report('mixture')
  t.same(arrived, wanted)
  t.ok(largestBatch > 16, `the largest batch had ${largestBatch} packets`)
})

t.test('a queued packet carries the owner of the sending socket', async (t) => {
  const { uids, self } = await report('owner')
  if (isRoot) t.same(uids, self)
  else t.same(uids, [OUTER_UID, OUTER_GID], 'the ids are those of the initial user namespace')
  if (!isRoot) return t.comment('second user: left out, because only root can become another user')
  const other = await run(['unshare', '--net', process.execPath, SCENARIOS, 'owner', 'other'])
  t.same(other.report.uids, [65534, 65533], 'the ids are those of the other user')
})

t.test('a full queue drops the packets that it cannot hold, or accepts them with failOpen', async (t) => {
  const { closed, open, counters } = await report('full')
  t.same([closed.stats.packets, closed.arrived.length], [4, 0])
  t.same([open.stats.packets, open.arrived], [4, range(6, 4)])
  t.same(counters, [6])
})

t.test('an overrun of the receive buffer is counted, and the queue continues', async (t) => {
  const { before, stats } = await report('overrun')
  t.ok(before > 0 && before < 50, `${before} of 50 packets arrived`)
  t.equal(stats.packets, before + 1)
})

t.test('the copy range cuts the bytes of a packet, not the length that is reported', async (t) => {
  t.same(await report('cut'), [28, 32])
})

t.test('opening a queue that is taken or not permitted throws an error with the reason', async (t) => {
  const { error, afterwards } = await report('taken')
  t.match(error, {
    reason: 'taken',
    message: isRoot ? /bound by another program \(netlink port \d+/ : /bound by another program/,
  })
  t.equal(afterwards, 'opened')
  const refused = await run([...WITHOUT_CAPABILITIES, process.execPath, SCENARIOS, 'permission'])
  t.match(refused.report, { reason: 'no-permission', message: /CAP_NET_ADMIN is needed/ })
})

t.test('an option out of its range is refused before anything is opened', async (t) => {
  t.same(await report('ranges'), Array(9).fill('RangeError'))
})

t.test(
  'a request settles with its acknowledgement, its error, the end of its dump, or the close of the socket',
  async (t) => {
    const { names, ...codes } = await report('requests')
    t.same(codes, {
      acknowledged: 'done',
      refused: 'ENODEV',
      dumped: 'done',
      threw: 'from onReply',
      again: 'done',
      underWay: 'ECANCELED',
      closed: 'EBADF',
      up: true,
    })
    t.ok(names.length > 0 && names.every((type: number) => type === 16), 'the dump lists links')
  },
)

t.test('the connections of conntrack can be listed', async (t) => {
  t.equal(await report('conntrack'), 1)
})

t.test('an event handler that throws does not disturb requests', async (t) => {
  const { code, seen, uncaught } = await report('events')
  t.equal(code, 'done')
  t.ok(seen > 0)
  t.ok(uncaught.length > 0 && uncaught.every((message: string) => message === 'from onMessage'))
})
