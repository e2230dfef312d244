import t from 'tap'
import { IPPROTO_UDP } from '../../../src/core/packet/ip.js'
import { isNtpRequest, ntpRequest } from '../../../src/core/packet/ntp.js'
import { ipv4, tcp, udp } from '../packets.js'
import { read } from '../policy/judging.js'

const PORTS = { sourcePort: 40_000, destinationPort: 123 }
const datagram = (payload: Uint8Array) => read(ipv4({ protocol: IPPROTO_UDP }, udp({ ...PORTS, payload })))
/** Returns a request with another first byte, and bytes behind it. */
function request(first: number, behind = 0): Uint8Array {
  const bytes = new Uint8Array(48 + behind).fill(7)
  bytes.set(ntpRequest())
  bytes[0] = first
  return bytes
}
/** The first byte: leap indicator, version, mode. */
const head = (leap: number, version: number, mode: number) => (leap << 6) | (version << 3) | mode

t.test(
  'requests of NTP clients and peers are recognised, in each version, with and without a digest',
  async (t) => {
    t.ok(isNtpRequest(datagram(ntpRequest())))
    for (const leap of [0, 3])
      for (const version of [1, 2, 3, 4])
        for (const mode of [1, 3]) t.ok(isNtpRequest(datagram(request(head(leap, version, mode)))))
    // Key number and digest: MD5, SHA-1, SHA-256, SHA-512; an extension field.
    for (const behind of [20, 24, 36, 68, 28])
      t.ok(isNtpRequest(datagram(request(head(0, 4, 3), behind))), `${behind} bytes`)
  },
)

t.test('no other datagram, and no TCP, passes for a request', async (t) => {
  for (const mode of [0, 2, 4, 5, 6, 7])
    t.notOk(isNtpRequest(datagram(request(head(0, 4, mode)))), `mode ${mode}`)
  for (const version of [0, 5, 6, 7])
    t.notOk(isNtpRequest(datagram(request(head(0, version, 3)))), `version ${version}`)
  for (const behind of [1, 2, 3, 21, 72, 1212])
    t.notOk(isNtpRequest(datagram(request(head(0, 4, 3), behind))), `${behind} bytes`)
  for (const length of [0, 1, 12, 47])
    t.notOk(isNtpRequest(datagram(request(head(0, 4, 3)).subarray(0, length))), `${length} bytes`)
  t.notOk(isNtpRequest(read(ipv4({}, tcp({ ...PORTS, payload: ntpRequest() })))))
})
