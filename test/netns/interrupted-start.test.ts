/** Tests that a start that takes too long, and is ended by systemd, does not open the host. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { createTopology, type Topology, VICTIM } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { eventually, rulesOf, Service } from './service.js'

/** The start looks this name up at a resolver that does not answer, which takes seconds. */
const SETTINGS = `mode: enforce
infrastructure: { dns: [203.0.113.53], ntp: [] }
mirrors: { discover: false, hosts: [mirror.example.org] }
`

/** Whether the service's own code handles signals: Node.js handles SIGTERM itself, and not SIGUSR2 (`SigCgt`). */
function handlesSignals(pid: number): boolean {
  const caught = /^SigCgt:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!
  return (BigInt(`0x${caught}`) & 0x800n) !== 0n
}

/** Tells a service to stop while it starts. */
async function interrupt(service: Service): Promise<void> {
  service.begin()
  await eventually('the service handles signals', () => handlesSignals(service.program.pid))
  t.notMatch(service.program.stderr, / mode enforce, queue/, 'the start is not over')
  await service.stop()
}

const refuses = async (lab: Topology) => (await connect(lab.web, VICTIM.v4, 445)).outcome === 'ECONNREFUSED'

t.test('a start that systemd ends keeps the rules; without systemd `onStop` counts', async (t) => {
  const lab = await createTopology()
  const service = Service.prepare(lab.web, SETTINGS)
  t.teardown(async () => {
    await service.remove()
    await lab.close()
  })
  service.through = ['env', `RUNTIME_DIRECTORY=${service.folder}`]
  await service.launch()
  t.ok(await refuses(lab))
  await service.kill()
  await interrupt(service)
  t.match(service.program.stderr, /the kernel keeps the last allowlist/)
  t.ok(await refuses(lab), 'nothing gets out')

  service.through = []
  await interrupt(service)
  t.notMatch(await rulesOf(lab.web), /checkvalve/)
})
