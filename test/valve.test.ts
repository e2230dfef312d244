/** What becomes of a packet when judging it fails. */
import { NF_ACCEPT, type QueuedPacket } from 'node-netfilter-queue'
import t from 'tap'
import { marksOf } from '../src/core/marks.js'
import { assemble, type Policy } from '../src/core/policy.js'
import type { Rules } from '../src/valve.js'
import { Valve, type ValveOptions } from '../src/valve.js'
import { HANDED_OUT } from './core/clients.js'

const MASK = 0x3f000000
const HOSTS_OWN = 0x5

const policy = (mode: Policy['mode']): Policy =>
  assemble({ mode, canary: undefined, handedOut: HANDED_OUT, updaters: [], rules: [], asking: undefined })

/** What it counts and logs of a packet that it could not judge, and the mark that this gets. */
function failing(mode: Policy['mode']) {
  const told: unknown[] = []
  const rules: Rules = { policy: policy(mode), marks: marksOf(MASK, 1) }
  const options = {
    form: 'native',
    log: { note: (_packet: unknown, _uid: number, { reason }: { reason: string }) => told.push(reason) },
    counts: {
      add: (_packet: unknown, _uid: number, _decision: unknown, observed: boolean) => told.push(observed),
    },
    onFault: ({ message }: Error) => told.push(message),
  } as unknown as ValveOptions
  const valve = new Valve({ rules }, options)
  const queued = { mark: rules.marks.judge | HOSTS_OWN } as QueuedPacket
  const verdict = valve.onError(new Error('a fault'), queued)
  valve.attribution.close()
  return { told, verdict, mark: queued.mark, marks: rules.marks }
}

t.test('what could not be judged is blocked, counted and told of', async (t) => {
  const { told, verdict, mark, marks } = failing('enforce')
  t.equal(mark, marks.blocked | HOSTS_OWN)
  t.equal(verdict, NF_ACCEPT, 'the mark says what becomes of it')
  t.same(told, ['malformed', false, 'a fault'])
})

t.test('in mode observe it goes on: nothing at all is blocked there', async (t) => {
  const { told, mark, marks } = failing('observe')
  t.equal(mark, marks.approvedOnce | HOSTS_OWN)
  t.same(told, ['malformed', true, 'a fault'])
})
