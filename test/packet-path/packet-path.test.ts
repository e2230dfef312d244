/** This test protects the first block after a start: the look-up of its process must not run in cold code. */
import t from 'tap'
import type { Config } from '../../src/config/config.js'
import { PacketPath, type PacketPathOptions } from '../../src/packet-path/packet-path.js'
import type { PolicyInForce } from '../../src/policy/policy-in-force.js'

t.test('look-ups of senders are warmed up before the first packet comes', async (t) => {
  const config = { queue: {}, firewall: { mark: { mask: 0x3f000000 } } } as Config
  const inForce = { config } as PolicyInForce
  const path = new PacketPath({ form: 'native', inForce } as PacketPathOptions)
  t.teardown(() => path.close())
  const steps: string[] = []
  const { attribution, queues } = path
  const warmUp = attribution.warmUp.bind(attribution)
  attribution.warmUp = async () => {
    const found = await warmUp()
    steps.push('warm')
    return found
  }
  queues.open = async () => void steps.push('bound')
  await path.open()
  t.same(steps, ['warm', 'bound'])
})
