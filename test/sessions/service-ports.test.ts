import { readFileSync } from 'node:fs'
import t from 'tap'
import { noServices } from '../../src/core/session/services.js'
import { readEphemeralPorts, unprivilegedPortStart } from '../../src/kernel/proc/port-ranges.js'
import { KernelPorts, setServices } from '../../src/sessions/service-ports.js'

const OPEN = { tcp: new Set([22, 443, 8080]), udp: new Set([443, 5353, 40000]) }

/** Returns the ports whose flag is set. */
const ports = (flags: Uint8Array) =>
  [...flags.entries()].flatMap(([port, flag]) => (flag === 1 ? [port] : []))

t.test(
  'with auto, all listening TCP ports are services, and the UDP ports that need privilege',
  async (t) => {
    const services = noServices()
    setServices(services, 'auto', OPEN, 1024)
    t.same(ports(services.tcp), [22, 443, 8080])
    t.same(ports(services.udp), [443])
  },
)

t.test('when any user may bind any port, no UDP port is a service', async (t) => {
  const services = noServices()
  setServices(services, 'auto', OPEN, 0)
  t.same(ports(services.udp), [])
  setServices(services, 'auto', OPEN, 5354)
  t.same(ports(services.udp), [443, 5353])
})

t.test('with declared services, exactly these ports are services, open or not', async (t) => {
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

t.test('a closed port is no longer a service', async (t) => {
  const services = noServices()
  setServices(services, 'auto', OPEN, 1024)
  setServices(services, 'auto', { tcp: new Set([22]), udp: new Set() }, 1024)
  t.same(ports(services.tcp), [22])
  t.same(ports(services.udp), [])
})

t.test('every port has a flag, also the last one', async (t) => {
  const services = noServices()
  setServices(services, 'auto', { tcp: new Set([0, 65535]), udp: new Set() }, 1024)
  t.same(ports(services.tcp), [0, 65535])
})

t.test('the first unprivileged port of this host is a valid port', async (t) => {
  const first = unprivilegedPortStart()
  t.ok(Number.isInteger(first) && first >= 0 && first <= 65536, `the port is ${first}`)
})

t.test('the ephemeral ports are read from this host', async (t) => {
  const { first, last } = readEphemeralPorts()
  t.equal(
    `${first} ${last}`,
    readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().replace(/\s+/, ' '),
  )
})

t.test('the port of a DHCP client is no service, unless it is declared', async (t) => {
  const services = noServices()
  setServices(services, 'auto', { tcp: new Set([68, 546]), udp: new Set([67, 68, 546, 547]) }, 1024)
  t.same(ports(services.udp), [67, 547])
  t.same(ports(services.tcp), [68, 546], 'only its UDP port is excluded')
  setServices(services, [{ protocol: 'udp', port: 68 }], OPEN, 1024)
  t.same(ports(services.udp), [68])
})

/** Returns the found or declared service ports that are sent to the kernel. */
function known(declared: Parameters<typeof setServices>[1], firstEphemeral: number, open = OPEN) {
  const services = noServices()
  setServices(services, declared, open, 65536)
  return new KernelPorts(firstEphemeral).of(services, declared)
}

t.test('the kernel receives the services below the ephemeral ports, in order', async (t) => {
  t.same(known('auto', 32768), { tcp: [22, 443, 8080], udp: [443, 5353] })
  t.same(known('auto', 8081), { tcp: [22, 443, 8080], udp: [443, 5353] })
  t.same(known('auto', 8080), { tcp: [22, 443], udp: [443, 5353] }, 'the first ephemeral port is no service')
  t.same(known('auto', 65536), { tcp: [22, 443, 8080], udp: [443, 5353, 40000] })
  t.same(known('auto', 0), { tcp: [], udp: [] })
})

t.test('the kernel receives every declared service, also on an ephemeral port', async (t) => {
  const declared = [
    { protocol: 'tcp', port: 65535 },
    { protocol: 'tcp', port: 443 },
    { protocol: 'udp', port: 40000 },
    { protocol: 'udp', port: 1 },
  ] as const
  for (const firstEphemeral of [0, 32768])
    t.same(known(declared, firstEphemeral), { tcp: [443, 65535], udp: [1, 40000] })
  t.same(known([], 32768), { tcp: [], udp: [] })
})

t.test('a user who listens on thousands of ports removes no known port', async (t) => {
  const ports = new KernelPorts(32768)
  const services = noServices()
  const of = (open: readonly number[]) => {
    setServices(services, 'auto', { tcp: new Set(open), udp: new Set() }, 1024)
    return ports.of(services, 'auto').tcp
  }
  const many = Array.from({ length: 30_000 }, (_, i) => i + 1)
  t.same(of([8080, 30_500]), [8080, 30_500])
  const crowded = of([...many, 30_500])
  t.equal(crowded.length, 2048)
  t.ok(crowded.includes(8080) && crowded.includes(30_500))
  t.same(of([443]), [443], 'closed ports free their places')
})

t.test('a declared service beside auto is one more, and no other is dropped', async (t) => {
  const services = noServices()
  const declared = ['auto', { protocol: 'udp', port: 40000 }] as const
  setServices(services, declared, OPEN, 1024)
  t.same(
    [ports(services.tcp), ports(services.udp)],
    [
      [22, 443, 8080],
      [443, 40000],
    ],
  )
  t.same(new KernelPorts(8080).of(services, declared), { tcp: [22, 443], udp: [443, 40000] })
})
