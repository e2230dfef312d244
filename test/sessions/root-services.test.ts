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

t.test('of the ports that listen no more, the latest are kept; all that listen are', async (t) => {
  const root = new RootServices()
  const now = new Set(Array.from({ length: 600 }, (_, i) => 1000 + i))
  for (let port = 30_000; port < 32_000; port++)
    root.update(new Set([...now, port]), ['7,0', `${port},1`], noServices())
  root.update(now, ['7,0'], noServices())
  const { tcp } = root.ports
  t.same(
    tcp.filter((port) => port < 30_000),
    [...now],
  )
  const former = tcp.filter((port) => port >= 30_000)
  t.same([former.length, former[0], former.at(-1)], [256, 31_744, 31_999])
})

t.test('the numbers of thousands of former sockets are kept, and of all that listen', async (t) => {
  const root = new RootServices()
  const now = Array.from({ length: 5000 }, (_, i) => `${i},0`)
  root.update(new Set(), now, noServices())
  for (let i = 0; i < 50; i++)
    root.update(
      new Set(),
      [...now, ...Array.from({ length: 100 }, (_, k) => `${i * 100 + k},1`)],
      noServices(),
    )
  t.ok(now.every((number) => root.hasListened(number)))
  t.same(
    [0, 900, 4999].map((i) => root.hasListened(`${i},1`)),
    [false, true, true],
  )
})
