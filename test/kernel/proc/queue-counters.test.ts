import t from 'tap'
import { parseQueueStatus, readQueueStatus } from '../../../src/kernel/proc/queue-counters.js'

/** TEXT has the form of the kernel: padded columns, two queues. */
const TEXT = `  100  31415     7 2   512     3     5  1207  1
  101 4021967    0 2 65535     0     0     0  1
`

t.test('the counters of the given queue are read, wherever its line is', async (t) => {
  t.same(parseQueueStatus(TEXT, 100), { waiting: 7, dropped: 3, userDropped: 5 })
  t.same(parseQueueStatus(TEXT, 101), { waiting: 0, dropped: 0, userDropped: 0 })
})

t.test('a queue that is not bound has no counters, and neither has a file of another form', async (t) => {
  t.equal(parseQueueStatus(TEXT, 7), undefined)
  t.equal(parseQueueStatus(TEXT, 10), undefined, 'the whole number must match')
  t.equal(parseQueueStatus('', 0), undefined)
  t.equal(parseQueueStatus('100 1 2 3\n', 100), undefined)
  t.equal(parseQueueStatus('no such thing\n', 100), undefined)
})

t.test(
  'when the file is missing or the queue is not bound, the result says so and nothing throws',
  async (t) => {
    t.equal(readQueueStatus(65535), undefined)
  },
)
