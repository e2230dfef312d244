/** These tests cause faults: while a packet is judged, and after its verdict. */
import { NF_ACCEPT, QueuedPacket } from 'node-netfilter-queue'
import t from 'tap'
import { IPPROTO_UDP } from '../../src/core/packet/ip.js'
import { TCPHDR_ACK, TCPHDR_SYN } from '../../src/core/packet/packet.js'
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
import { ipv4, tcp, udp, words } from '../core/packets.js'
import { framed, query } from '../core/queries.js'

const MASK = 0x3f000000
const HOSTS_OWN = 0x5
const NO_CONTAINMENT = { note: () => {}, holds: () => false, flush: () => {} }
const EVERYWHERE = { family: 4, words: words('0.0.0.0'), length: 0 } as const

const policy = (mode: Policy['mode'], rules: Policy['rules'] = []): Policy =>
  assemble({
    mode,
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    transparentUsers: [],
    sparedUsers: [0],
    trustedUsers: [],
    rules,
    queryPolicy: undefined,
  })

/** Returns the counters, the log line and the mark of a packet that could not be judged. */
function failing(mode: Policy['mode']) {
  const recorded: unknown[] = []
  const rules: ActivePolicy = { policy: policy(mode), marks: marksOf(MASK, 1), remembersBlocks: true }
  const options = {
    form: 'native',
    log: { note: (_packet: unknown, _uid: number, { reason }: { reason: string }) => recorded.push(reason) },
    counts: {
      add: (_packet: unknown, _uid: number, _decision: unknown, observed: boolean) => recorded.push(observed),
    },
    onFault: ({ message }: Error) => recorded.push(message),
    containment: NO_CONTAINMENT,
  } as unknown as ValveOptions
  const valve = new Valve({ rules, rememberedAt: 0 }, options)
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
      containment: NO_CONTAINMENT,
    } as unknown as ValveOptions
    const valve = new Valve(
      { rules: { policy: policy('enforce', rules), marks, remembersBlocks: true }, rememberedAt: 0 },
      options,
    )
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

/** Judges segments to a resolver while names are enforced. @returns the mark, and whether the judged bytes are sent */
function asking(mode: Policy['mode']) {
  const marks = marksOf(MASK, 1)
  const resolver = compile({
    ...{ reason: 'resolver', name: 'resolver', protocol: 'any', ports: [{ first: 53, last: 53 }] },
    ...{ prefixes: [EVERYWHERE], names: [], domains: [] },
  })
  const queryPolicy = { isAllowed: (name: string) => name === 'a.example.org', reverse: false, search: [] }
  const recorded: string[] = []
  const options = {
    form: 'native',
    inbound: noClients(),
    users: UserNamespace.ofProcess(),
    log: { note: (...[, , { reason }]: Parameters<BlockLog['note']>) => recorded.push(reason) },
    passed: { note: () => {} },
    containment: NO_CONTAINMENT,
    counts: { add: () => {} },
    domainOf: () => undefined,
  } as unknown as ValveOptions
  const valve = new Valve(
    {
      rules: { policy: { ...policy(mode, [resolver]), queryPolicy }, marks, remembersBlocks: true },
      rememberedAt: 0,
    },
    options,
  )
  const judge = (flags: number, sequence: number, payload: Uint8Array = new Uint8Array()) => {
    const bytes = ipv4({}, tcp({ destinationPort: 53, flags, sequence, payload }))
    const queued = Object.assign(new QueuedPacket(), {
      ...CALL,
      bytes,
      end: bytes.length,
      length: bytes.length,
    })
    valve.judge(queued)
    return { isAccepted: queued.mark === marks.approvedNow, sendsBytes: queued.sendsBytes }
  }
  return { judge, recorded, close: () => valve.close() }
}

t.test('queries over TCP follow each other, and are sent as they were judged', async (t) => {
  const allowed = framed(query('a.example.org'))
  const { judge, recorded, close } = asking('enforce')
  t.same(judge(TCPHDR_SYN, 0), { isAccepted: true, sendsBytes: false })
  t.same(judge(TCPHDR_ACK, 1, allowed), { isAccepted: true, sendsBytes: true })
  t.same(judge(TCPHDR_ACK, 1 + allowed.length), { isAccepted: true, sendsBytes: false }, 'no data')
  t.same(judge(TCPHDR_ACK, 2, allowed), { isAccepted: false, sendsBytes: false })
  t.same(recorded, ['unjudged-stream'])
  t.same(judge(TCPHDR_ACK, 1 + allowed.length, allowed), { isAccepted: true, sendsBytes: true })
  close()
})

t.test('in mode observe a packet is never changed', async (t) => {
  const { judge, close } = asking('observe')
  judge(TCPHDR_SYN, 0)
  t.equal(judge(TCPHDR_ACK, 1, framed(query('a.example.org'))).sendsBytes, false)
  close()
})
