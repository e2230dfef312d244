import t from 'tap'
import { noServices } from '../../src/core/session/services.js'
import { RootServices } from '../../src/sessions/root-services.js'

t.test('a port of a service of root stays one after its socket has stopped to listen', async (t) => {
  const root = new RootServices()
  const { flags } = root
  const services = noServices()
  services.udp[50_000] = 1
  root.update(new Set([443, 40_000]), ['7,0', '8,0'], services)
  root.update(new Set([443]), ['7,0'], noServices())
  t.same(root.ports, { tcp: [443, 40_000], udp: [50_000] })
  t.equal(root.flags, flags, 'the policy has these flags')
  t.same(
    ['7,0', '8,0', '9,0', undefined].map((number) => root.hasListened(number)),
    [true, true, false, false],
  )
  t.same([flags.tcp[40_000], flags.udp[50_000], flags.tcp[50_000], flags.udp[443]], [1, 1, 0, 0])
})

t.test('when there are too many ports, those that listen are kept', async (t) => {
  const root = new RootServices()
  for (let port = 30_000; port < 32_000; port++) root.update([443, port], ['7,0', `${port},1`], noServices())
  const { tcp } = root.ports
  t.equal(tcp.length, 1024)
  t.ok(tcp.includes(443) && tcp.includes(31_999) && !tcp.includes(30_000))
})
