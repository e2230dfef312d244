import t from 'tap'
import { marksOf } from '../../../src/core/ruleset/marks.js'
import { queueRules } from '../../../src/kernel/nftables/xtables.js'

const MASK = 0x3f000000

const rules = (queue: { first: number; count: number }, mask = MASK) =>
  queueRules(marksOf(mask, 1), queue).map(({ chain, args }) => `${chain.join(' ')}: ${args.join(' ')}`)

t.test('the rules queue marked packets, and let them continue when no program reads the queue', async (t) => {
  t.same(rules({ first: 100, count: 1 }), [
    'filter OUTPUT: -m mark --mark 0x20000000/0x32000000 -j NFQUEUE --queue-num 100 --queue-bypass',
    'filter OUTPUT: -m mark --mark 0x22000000/0x32000000 -j NFQUEUE --queue-num 101 --queue-bypass',
    'mangle PREROUTING: -m mark --mark 0x22000000/0x32000000 -j NFQUEUE --queue-num 102 --queue-bypass',
  ])
})

t.test('several queues are spread over the processors, and DNS has two queues behind them', async (t) => {
  const [judged, questions, answers] = rules({ first: 100, count: 4 })
  t.match(judged, / -j NFQUEUE --queue-balance 100:103 --queue-cpu-fanout --queue-bypass$/)
  t.match(questions, / -j NFQUEUE --queue-num 104 --queue-bypass$/)
  t.match(answers, / -j NFQUEUE --queue-num 105 --queue-bypass$/)
})

t.test('the mark is within the configured mask, and never negative', async (t) => {
  const marked = (mask: number) =>
    rules({ first: 0, count: 1 }, mask).map((rule) => /--mark (\S+)/.exec(rule)?.[1])
  t.same(marked(0x3f), ['0x20/0x32', '0x22/0x32', '0x22/0x32'])
  t.same(marked(0xfc000000), ['0x80000000/0xc8000000', '0x88000000/0xc8000000', '0x88000000/0xc8000000'])
})

t.test('each marked packet goes to one queue, also when an earlier policy knew the connection', async (t) => {
  const { judge, known, names, blocked, approvedNow } = marksOf(MASK, 15)
  const queues = (mark: number) =>
    queueRules(marksOf(MASK, 1), { first: 100, count: 1 })
      .filter(({ chain }) => chain[1] === 'OUTPUT')
      .filter(({ args }) => {
        const [value, mask] = args[args.indexOf('--mark') + 1]!.split('/').map(Number)
        return (mark & mask!) >>> 0 === value
      })
      .map(({ args }) => args[args.indexOf('--queue-num') + 1])
  t.same(queues(judge), ['100'])
  t.same(queues(judge | known), ['100'])
  t.same(queues(judge | names), ['101'])
  t.same(queues(judge | names | known), ['101'])
  for (const mark of [0, blocked, approvedNow, known, names]) t.same(queues(mark), [], `the mark is ${mark}`)
})
