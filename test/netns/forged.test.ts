import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { createTopology, VICTIM, WEB } from '../lab/topology.js'
import { canSwitchUsers } from '../lab/users.js'
import { Service } from './service.js'

const SOURCE = fileURLToPath(new URL('../../../test/netns/programs/forge.c', import.meta.url))

t.test('nobody gets out by passing for a client: a foreign address bound on this host is none', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-forge-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  chmodSync(folder, 0o755)
  const forge = join(folder, 'forge')
  execFileSync('cc', ['-o', forge, SOURCE])
  const lab = await createTopology()
  t.teardown(() => lab.close())
  const arrivals = await countArrivals(lab.victims, 'to-web')
  const attack = () =>
    lab.web.run([forge, WEB.victims.v6, VICTIM.v6], {
      allowFailure: true,
      ...(canSwitchUsers() && { user: 'www-data' }),
    })
  t.match(await attack(), { status: 0, stdout: '3\n' })
  t.equal((await arrivals()).udp, 3, 'without a guard the datagrams arrive')
  const service = await Service.start(lab.web, 'mode: enforce\n')
  t.teardown(() => service.remove())
  t.equal((await attack()).status, 0)
  t.equal((await arrivals()).udp, 3, 'with one, no more do')
  t.ok((await service.metric('kernel_packets_total', 'path="forged"')) >= 1)
  await service.kill()
  await attack()
  t.equal((await arrivals()).udp, 3, 'nor when the service is dead')
})
