/** Tests how programs see a refusal: at once, always, and also from the kernel's fallback. */
import t from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, sendUdp, serveHttp } from '../lab/traffic.js'
import { kernelCount, NODE, PATIENCE_MS, Service } from './service.js'

const CLOSED = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { discover: false }
`

/**
 * CALL HOST COUNT: opens connections one after the other, and prints how many were refused, and how many SYNs the kernel
 * sent again, since no refusal came.
 */
const CALL = `const { readFileSync } = require('fs')
const repeated = () => {
  const [names, values] = readFileSync('/proc/net/netstat', 'utf8').split('\\n').map((line) => line.split(' '))
  return +values[names.indexOf('TCPSynRetrans')]
}
const [host, count] = process.argv.slice(1)
const before = repeated()
const outcomes = {}
const call = (left) => {
  if (left === 0) return console.log(JSON.stringify({ outcomes, repeated: repeated() - before }))
  require('net').connect({ host, port: 80 }).on('error', ({ code }) => {
    outcomes[code] = (outcomes[code] ?? 0) + 1
    call(left - 1)
  })
}
call(+count)`

const PATIENT = { timeout: PATIENCE_MS }

t.jobs = 3

for (const host of [VICTIM.v4, VICTIM.v6])
  t.test(`each connection to ${host} is refused at once, also while the service is dead`, async (t) => {
    await using lab = await createTopology()
    const arrivals = await countArrivals(lab.victims, 'to-web')
    const service = await Service.start(lab.web, CLOSED)
    t.teardown(() => service.remove())
    const call = async () => JSON.parse((await lab.web.run([...NODE, '-e', CALL, host, '500'])).stdout)
    const all = { outcomes: { ECONNREFUSED: 500 }, repeated: 0 }
    t.same(await call(), all)
    t.match((await sendUdp(lab.web, host, 9, 1, PATIENT)).errors, { ECONNREFUSED: 1 }, 'UDP is refused, too')
    t.equal(
      await service.metric('kernel_packets_total', 'path="forged"'),
      0,
      'no refusal is taken for a forged packet',
    )
    await service.kill()
    const dropped = await kernelCount(lab.web, 'fallback_drop')
    t.same(await call(), all, 'the same from the fallback')
    t.match((await sendUdp(lab.web, host, 9, 1, PATIENT)).errors, { EPERM: 1 }, 'send(2) itself fails')
    t.ok((await kernelCount(lab.web, 'fallback_drop')) >= dropped + 501)
    t.equal((await arrivals()).total, 0)
  })

t.test('with `block: drop` nothing tells a program that it is blocked, alive or dead', async (t) => {
  await using lab = await createTopology()
  const service = await Service.start(lab.web, `${CLOSED}block: drop\n`)
  t.teardown(() => service.remove())
  for (const host of [VICTIM.v4, VICTIM.v6])
    t.equal((await connect(lab.web, host, 80, { timeout: 300 })).outcome, 'timeout')
  await service.kill()
  for (const host of [VICTIM.v4, VICTIM.v6])
    t.equal((await connect(lab.web, host, 80, { timeout: 300 })).outcome, 'timeout')
  t.match((await sendUdp(lab.web, VICTIM.v4, 9, 1)).errors, {})
})

/** Gives one segment to a client the mark of a blocked packet, after its verdict. */
const WRONG_VERDICT = `table inet wrong {
  chain output {
    type filter hook output priority 5; policy accept;
    tcp sport 80 tcp flags & (syn | fin | rst) == 0 ip length > 100 limit rate 1/day burst 1 packets counter meta mark set 0x30000000
  }
}`

t.test("a client's connection outlives a segment that was judged wrongly", async (t) => {
  await using lab = await createTopology()
  await serveHttp(lab.web, 80)
  const service = await Service.start(lab.web, CLOSED)
  t.teardown(() => service.remove())
  await lab.web.run(['nft', '-f', '-'], { input: WRONG_VERDICT })
  const page = await httpGet(lab.client, `http://${WEB.client.v4}/large?bytes=100000`, PATIENT)
  t.match(page, { status: 200, bytes: 100_000 })
  t.match((await lab.web.run(['nft', 'list', 'table', 'inet', 'wrong'])).stdout, /counter packets [1-9]/)
})
