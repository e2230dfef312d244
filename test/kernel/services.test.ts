import t from 'tap'
import { noServices, setServices, trustedServices, unprivilegedPortStart } from '../../src/kernel/services.js'

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

/** What the kernel's own rules may rely on, of services that were found or declared. */
function trusted(declared: Parameters<typeof setServices>[1], firstUnprivileged: number) {
  const services = noServices()
  setServices(services, declared, OPEN, firstUnprivileged)
  return trustedServices(services, declared, firstUnprivileged)
}

t.test(
  'without the service, the kernel trusts no port by itself that an ordinary user could have taken',
  async (t) => {
    t.same(trusted('auto', 1024), { tcp: [22, 443], udp: [443] })
    t.same(trusted('auto', 443), { tcp: [22], udp: [] }, 'the first unprivileged port is no privileged one')
    t.same(trusted('auto', 444), { tcp: [22, 443], udp: [443] })
    t.same(trusted('auto', 0), { tcp: [], udp: [] })
  },
)

t.test('a port that the operator declares is trusted, whoever could take it', async (t) => {
  const declared = [
    { protocol: 'tcp', port: 8080 },
    { protocol: 'tcp', port: 443 },
    { protocol: 'udp', port: 65535 },
    { protocol: 'udp', port: 1 },
  ] as const
  for (const firstUnprivileged of [0, 1024])
    t.same(trusted(declared, firstUnprivileged), { tcp: [443, 8080], udp: [1, 65535] })
  t.same(trusted([], 1024), { tcp: [], udp: [] })
})

t.test('of a thousand services all are trusted, each once and in order', async (t) => {
  const services = noServices()
  const all = Array.from({ length: 1000 }, (_, i) => i)
  setServices(services, 'auto', { tcp: new Set(all.toReversed()), udp: new Set() }, 1024)
  t.same(trustedServices(services, 'auto', 1024).tcp, all)
})
