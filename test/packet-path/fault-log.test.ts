import t, { type Test } from 'tap'
import { FaultLog, type FaultLogOptions } from '../../src/packet-path/fault-log.js'
import { Clock } from '../names/clock.js'

/** Makes a fault log that keeps its lines, with a clock that the test moves. */
function faults(t: Test) {
  const clock = Clock.install(t)
  const state = { clock, lines: [] as string[], counted: 0, mode: 'enforce' as 'enforce' | 'observe' }
  const log = new FaultLog({
    mode: () => state.mode,
    log: {
      error: (_fields: unknown, line: string) => void state.lines.push(line),
    } as unknown as FaultLogOptions['log'],
    count: () => void state.counted++,
  })
  return Object.assign(state, {
    note: (text: string, isJudged?: boolean) => log.note(new Error(text), isJudged),
  })
}

t.test('every fault is counted, and one in ten seconds is logged', async (t) => {
  const its = faults(t)
  for (let i = 0; i < 5; i++) its.note(`fault ${i}`)
  await its.clock.pass(9999)
  its.note('too soon')
  await its.clock.pass(1)
  its.note('in time')
  t.equal(its.counted, 7)
  t.same(its.lines, [
    'a packet could not be judged and was blocked: fault 0',
    'a packet could not be judged and was blocked: in time',
  ])
})

t.test('the line describes the outcome for the packet: by the current mode, or by its verdict', async (t) => {
  const its = faults(t)
  its.mode = 'observe'
  its.note('first')
  await its.clock.pass(10_000)
  its.note('second', true)
  t.same(its.lines, [
    'a packet could not be judged and would have been blocked: first',
    'the sender of a packet could not be found: second',
  ])
})
