import t from 'tap'
import { noServices, setServices, unprivilegedPortStart } from '../../src/kernel/services.js'

const OPEN = { tcp: new Set([22, 443, 8080]), udp: new Set([443, 5353, 40000]) }

/** The ports whose flag is set. */
const ports = (flags: Uint8Array) =>
  [...flags.entries()].flatMap(([port, flag]) => (flag === 1 ? [port] : []))

t.test(
  'by themselves, all listening TCP ports are services, and of the UDP ports just privileged ones',
  async (t) => {
    const services = noServices()
    setServices(services, 'auto', OPEN, 1024)
    t.same(ports(services.tcp), [22, 443, 8080])
    t.same(ports(services.udp), [443])
  },
)

t.test('where any user may bind any port, no UDP port proves privilege', async (t) => {
  const services = noServices()
  setServices(services, 'auto', OPEN, 0)
  t.same(ports(services.udp), [])
  setServices(services, 'auto', OPEN, 5354)
  t.same(ports(services.udp), [443, 5353])
})

t.test('declared services are just these, open or not', async (t) => {
  const services = noServices()
  const declared = [
    { protocol: 'tcp', port: 443 },
    { protocol: 'udp', port: 40000 },
  ] as const
  setServices(services, declared, OPEN, 1024)
  t.same(ports(services.tcp), [443])
  t.same(ports(services.udp), [40000])
  setServices(services, [], OPEN, 1024)
  t.same([...ports(services.tcp), ...ports(services.udp)], [])
})

t.test('a port that was closed is no service any more', async (t) => {
  const services = noServices()
  setServices(services, 'auto', OPEN, 1024)
  setServices(services, 'auto', { tcp: new Set([22]), udp: new Set() }, 1024)
  t.same(ports(services.tcp), [22])
  t.same(ports(services.udp), [])
})

t.test('every port has a flag, the last one too', async (t) => {
  const services = noServices()
  setServices(services, 'auto', { tcp: new Set([0, 65535]), udp: new Set() }, 1024)
  t.same(ports(services.tcp), [0, 65535])
})

t.test('the first unprivileged port of this host is a port', async (t) => {
  const first = unprivilegedPortStart()
  t.ok(Number.isInteger(first) && first >= 0 && first <= 65536, `${first}`)
})
