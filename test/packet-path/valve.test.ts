/** These tests cause faults: while a packet is judged, and after its verdict. */
import { NF_ACCEPT, type QueuedPacket } from 'node-netfilter-queue'
import t from 'tap'
import { IPPROTO_UDP } from '../../src/core/packet/ip.js'
import { assemble, compile, type Policy } from '../../src/core/policy/policy.js'
import type { AcceptedFlows } from '../../src/core/record/accepted-flows.js'
import type { VerdictCounts } from '../../src/core/record/verdict-counts.js'
import { marksOf } from '../../src/core/ruleset/marks.js'
import { noClients } from '../../src/core/session/no-clients.js'
import { UserNamespace } from '../../src/kernel/proc/user-namespace.js'
import { Valve, type ValveOptions } from '../../src/packet-path/valve.js'
import type { ActivePolicy } from '../../src/policy/active-policy.js'
import type { BlockLog } from '../../src/records/block-log/block-log.js'
import { EPHEMERAL_PORTS } from '../core/clients.js'
import { ipv4, udp, words } from '../core/packets.js'

const MASK = 0x3f000000
const HOSTS_OWN = 0x5
const EVERYWHERE = { family: 4, words: words('0.0.0.0'), length: 0 } as const

const policy = (mode: Policy['mode']): Policy =>
  assemble({
    mode,
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    transparentUsers: [],
    trustedUsers: [],
    rules: [],
    queryPolicy: undefined,
  })

/** Returns the counters, the log line and the mark of a packet that could not be judged. */
function failing(mode: Policy['mode']) {
  const recorded: unknown[] = []
  const rules: ActivePolicy = { policy: policy(mode), marks: marksOf(MASK, 1) }
  const options = {
    form: 'native',
    log: { note: (_packet: unknown, _uid: number, { reason }: { reason: string }) => recorded.push(reason) },
    counts: {
      add: (_packet: unknown, _uid: number, _decision: unknown, observed: boolean) => recorded.push(observed),
    },
    onFault: ({ message }: Error) => recorded.push(message),
  } as unknown as ValveOptions
  const valve = new Valve({ rules }, options)
  const queued = { mark: rules.marks.judge | HOSTS_OWN } as QueuedPacket
  const verdict = valve.onError(new Error('a fault'), queued)
  valve.close()
  return { recorded, verdict, mark: queued.mark, marks: rules.marks }
}

t.test('a packet that could not be judged is blocked, counted and logged', async (t) => {
  const { recorded, verdict, mark, marks } = failing('enforce')
  t.equal(mark, marks.blocked | HOSTS_OWN)
  t.equal(verdict, NF_ACCEPT, 'the mark carries the verdict')
  t.same(recorded, ['malformed', false, 'a fault'])
})

t.test(
  'in mode observe a packet that could not be judged is accepted: nothing is blocked in that mode',
  async (t) => {
    const { recorded, mark, marks } = failing('observe')
    t.equal(mark, marks.approvedOnce | HOSTS_OWN)
    t.same(recorded, ['malformed', true, 'a fault'])
  },
)

const CALL: Partial<QueuedPacket> = { uid: 0, mark: 0, outDevice: 0, start: 0 }

t.test('when attribution fails, the verdict does not change and is recorded once', async (t) => {
  const allowing = compile({
    reason: 'rule',
    name: 'any',
    protocol: 'any',
    ports: [],
    prefixes: [EVERYWHERE],
    names: [],
    domains: [],
  })
  for (const rules of [[], [allowing]]) {
    const recorded: unknown[] = []
    const marks = marksOf(MASK, 1)
    const options = {
      form: 'native',
      inbound: noClients(),
      users: UserNamespace.ofProcess(),
      log: {
        note: (...[, , { reason }, , { place }]: Parameters<BlockLog['note']>) =>
          recorded.push([reason, place]),
      },
      passed: {
        note: (...[, , { reason }, , detailsOf]: Parameters<AcceptedFlows['note']>) =>
          recorded.push([reason, detailsOf().unit]),
      },
      counts: { add: (...[, , { verdict }]: Parameters<VerdictCounts['add']>) => recorded.push(verdict) },
      domainOf: () => undefined,
      onFault: ({ message }: Error, isJudged: boolean) => recorded.push([message, isJudged]),
    } as unknown as ValveOptions
    const valve = new Valve({ rules: { policy: { ...policy('enforce'), rules }, marks } }, options)
    for (const name of ['place', 'unit']) Object.defineProperty(valve.attribution, name, { get: fail })
    const bytes = ipv4({ destination: '203.0.113.7', protocol: IPPROTO_UDP }, udp({ destinationPort: 9 }))
    const queued = { ...CALL, bytes, end: bytes.length, length: bytes.length } as QueuedPacket
    valve.onPacket(queued)
    valve.close()
    const isAllowed = rules.length > 0
    t.equal(queued.mark, isAllowed ? marks.approvedNow : marks.blocked)
    t.same(recorded, [
      isAllowed ? ['rule', undefined] : ['not-allowlisted', 0],
      isAllowed ? 'accept' : 'block',
      ['a fault', true],
    ])
  }
})

function fail(): never {
  throw new Error('a fault')
}
