import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Namespace } from '../lab/namespace.js'
import { sendUdp, serveUdpEcho } from '../lab/traffic.js'
import { NODE, PATIENCE_MS, Service } from './service.js'

const HOLD = fileURLToPath(new URL('./programs/hold.js', import.meta.url))

t.test(
  'the commands ruleset and doctor, which probe the kernel, lose no packet that waits in a queue',
  async (t) => {
    await using place = await Namespace.create('waiting')
    const service = Service.prepare(place, 'mode: enforce\n')
    t.teardown(() => service.remove())
    await place.run([
      'iptables',
      '-A',
      'OUTPUT',
      '-p',
      'udp',
      '--dport',
      '9999',
      '-j',
      'NFQUEUE',
      '--queue-num',
      '7',
    ])
    const holder = place.spawn([...NODE, HOLD, '7'])
    await holder.result('listening')
    await serveUdpEcho(place, 9999)
    const sent = sendUdp(place, '127.0.0.1', 9999, 1, { timeout: PATIENCE_MS })
    await holder.result('held')
    t.equal((await service.command('ruleset')).status, 0)
    t.match((await service.command('doctor')).stdout, /^\? {5}kernel: whether it takes our firewall rules$/m)
    holder.kill('SIGUSR2')
    t.match(await sent, { sent: 1, answers: 1 })
  },
)
