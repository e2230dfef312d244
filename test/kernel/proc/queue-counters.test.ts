import t from 'tap'
import { parseQueueStatus, readQueueStatus } from '../../../src/kernel/proc/queue-counters.js'

/** As the kernel writes it: its columns are padded, two queues here. */
const TEXT = `  100  31415     7 2   512     3     5  1207  1
  101 4021967    0 2 65535     0     0     0  1
`

t.test('the figures of the queue asked for are read, whatever its place in the file', async (t) => {
  t.same(parseQueueStatus(TEXT, 100), { waiting: 7, dropped: 3, userDropped: 5 })
  t.same(parseQueueStatus(TEXT, 101), { waiting: 0, dropped: 0, userDropped: 0 })
})

t.test('a queue that is not bound has no figures, nor has a file in another form', async (t) => {
  t.equal(parseQueueStatus(TEXT, 7), undefined)
  t.equal(parseQueueStatus(TEXT, 10), undefined, 'the number has to be the whole one')
  t.equal(parseQueueStatus('', 0), undefined)
  t.equal(parseQueueStatus('100 1 2 3\n', 100), undefined)
  t.equal(parseQueueStatus('no such thing\n', 100), undefined)
})

t.test(
  'where the file is missing or the queue not bound, reading it says so and does not throw',
  async (t) => {
    t.equal(readQueueStatus(65535), undefined)
  },
)
