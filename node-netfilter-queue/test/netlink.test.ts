import { constants } from 'node:os'
import t from 'tap'
import { inNamespace } from './helper.js'

t.jobs = 4

const { EBADF, EINVAL, EAGAIN, EMSGSIZE, ENOENT, ENODEV } = constants.errno
// RTM_NEWLINK is defined in include/uapi/linux/rtnetlink.h.
const RTM_NEWLINK = 16
const RTM_DELLINK = 17

async function report(scenario: string) {
  const outcome = await inNamespace(scenario)
  if (outcome.code !== 0 || outcome.stderr) throw new Error(`${scenario}: ${outcome.code} ${outcome.stderr}`)
  return outcome.report
}

t.test(
  'when exchange returns, the answer to the look-up of one socket or one flow has been read',
  async (t) => {
    t.same(await report('exchangeAnswers'), {
      state: 1,
      itsClient: true,
      noSocket: -ENOENT,
      flow: 1 << 8,
      noFlow: -ENOENT,
    })
  },
)

t.test(
  'when no fitting answer came, exchange reports it, writes nothing, and the next exchange works',
  async (t) => {
    t.same(await report('exchangeErrors'), {
      unanswered: 'EAGAIN',
      afterUnanswered: 1,
      tooSmall: 'EMSGSIZE',
      behind: true,
      noRoom: 'EMSGSIZE',
      afterTooSmall: -ENODEV,
      exact: -ENODEV,
      oneShort: 'EMSGSIZE',
      tooLong: 'EMSGSIZE',
      closed: 'EBADF',
    })
  },
)

t.test('an answer to an earlier request is never returned for the current request', async (t) => {
  t.same(await report('exchangeStale'), { asked: [1], nothingLeft: 'EAGAIN', request: 'done', late: [] })
})

t.test('odd arguments to the native part are refused, and the process stays alive', async (t) => {
  const { noRequest, noAnswer, noHandle, fewer, transferred, onlyReceives, ...rest } =
    await report('exchangeOdd')
  t.same([...noRequest, ...noAnswer], Array(16).fill(-EINVAL))
  t.same(noHandle, Array(5).fill(-EBADF))
  t.same(fewer, [-EBADF, -EINVAL, -EINVAL])
  t.equal(transferred, -EMSGSIZE, 'memory that was transferred to another thread holds no bytes')
  t.equal(onlyReceives, -EAGAIN, 'a request without bytes is not sent')
  t.same(rest.filter, Array(8).fill(-EINVAL))
  t.same(rest.filterNoHandle, Array(5).fill(-EBADF))
  t.same(rest.closed, [-EBADF, -EBADF])
})

t.test('when exchangeDump returns, the dump is complete, however many datagrams it takes', async (t) => {
  t.same(await report('exchangeDumps'), { found: [300, 0, 300], refused: 'ENOENT', after: 300 })
})

t.test('each of 20,000 exchanges has its own answer, and nothing is left behind', async (t) => {
  t.same(await report('exchangeMany'), { right: 20_000, left: 0 })
})

t.test(
  'a socket filter passes the messages that its program accepts; the others do not wake the process',
  async (t) => {
    const { without, all, nothing, removals, ...answers } = await report('filters')
    t.same(without.types, [RTM_NEWLINK, RTM_DELLINK])
    t.same(all.types, [RTM_NEWLINK, RTM_DELLINK])
    t.same(nothing, { types: [], batches: 0 })
    t.same(removals.types, [RTM_DELLINK])
    t.same(answers, { answers: 1, noAnswers: 'EAGAIN' }, 'the filter applies to answers as well')
  },
)

t.test('a filter program that the kernel cannot run is refused, and the socket is closed', async (t) => {
  const { left, ...codes } = await report('badFilters')
  t.same(codes, {
    empty: 'EINVAL',
    odd: 'EINVAL',
    endless: 'EINVAL',
    jumpsOut: 'EINVAL',
    unknown: 'EINVAL',
    long: 'EINVAL',
  })
  t.equal(left, 0)
})
