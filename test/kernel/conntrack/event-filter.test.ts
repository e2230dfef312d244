import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Namespace } from '../../lab/namespace.js'
import { NODE } from '../../netns/service.js'

const PROGRAM = fileURLToPath(new URL('../programs/conntrack.js', import.meta.url))

/**
 * Loads rules by which the kernel tracks connections. A client of port 448 gets no answer, and a server on a
 * port in `deaf` gets no packet of its client.
 */
const RULES = `table inet own {
  set deaf { type inet_service; }
  chain in {
    type filter hook input priority filter
    tcp sport 448 tcp flags & (syn | ack) == syn | ack drop
    ct state established accept
  }
  chain out {
    type filter hook output priority raw
    tcp dport @deaf drop
  }
}`

/** No connection of a test times out by itself, however slow the host is. */
const REMEMBER = 'for file in /proc/sys/net/netfilter/nf_conntrack_*_timeout*; do echo 600 > $file; done'

// biome-ignore lint/suspicious/noExplicitAny: each scenario reports what it likes
async function report(scenario: string): Promise<any> {
  await using place = await Namespace.create(scenario)
  await place.address('lo', '198.51.100.1/32', '2001:db8::1/128')
  await place.run(['nft', '-f', '-'], { input: RULES })
  await place.run(['sh', '-c', REMEMBER])
  return JSON.parse((await place.run([...NODE, PROGRAM, scenario])).stdout)
}

/** Returns flows of both families as `family protocol port state`. */
const flows = (...ends: string[]) => [4, 6].flatMap((family) => ends.map((end) => `${family} ${end}`)).sort()

const ESTABLISHED = '6 443 3'
const UDP = '17 53 0'
/** These states are CLOSE_WAIT and LAST_ACK. */
const HALF_CLOSED = ['6 444 5', '6 445 6']
/** These states are SYN_RECV, TIME_WAIT and CLOSE. */
const NOT_OPEN = ['6 448 2', '6 446 7', '6 447 8']

t.jobs = 4

t.test(
  'when the kernel forgets flows, only connections that were open and UDP flows are reported',
  async (t) => {
    const { before, filtered, all } = await report('forgotten')
    const known = flows(ESTABLISHED, UDP, ...HALF_CLOSED, ...NOT_OPEN)
    t.same(before, { filtered: 0, known }, 'no flow is reported while the kernel knows it')
    t.same(filtered, flows(ESTABLISHED, UDP, ...HALF_CLOSED))
    t.same(all, known, 'without the filter the kernel reports each of them')
  },
)

t.test('a live connection is reported only between its handshake and its end', async (t) => {
  const { filtered, all } = await report('living')
  t.same(
    flows(ESTABLISHED, UDP).filter((flow) => !filtered.includes(flow)),
    [],
  )
  const states = (told: string[]) => [...new Set(told.map((flow) => Number(flow.at(-1))))]
  t.ok(
    states(filtered).every((state) => state === 0 || (state >= 3 && state <= 6)),
    `the reported flows are ${filtered}`,
  )
  for (const state of [1, 2, 7])
    t.ok(states(all).includes(state), `without the filter the kernel reports state ${state}`)
})

t.test('an event without a subscription is not reported, and after a new subscription it is', async (t) => {
  t.same(await report('wanted'), {
    changes: [false, true, false, true],
    nothing: 0,
    forgotten: flows(UDP),
  })
})

t.test('a list of one protocol has all flows of that protocol, and no others', async (t) => {
  t.same(await report('dumps'), {
    tcp: flows(ESTABLISHED),
    udp: flows(UDP),
    both: flows(ESTABLISHED, UDP),
  })
})
