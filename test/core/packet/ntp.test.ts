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
  const options = [7, 39, 40, ...new Array(36).fill(0x41)]
  const payload = ntpRequest()
  t.notOk(
    isNtpRequest(read(ipv4({ protocol: IPPROTO_UDP, options }, udp({ ...PORTS, payload })))),
    'IP options',
  )
})

/** Returns an extension field. @param length of the whole field @param body the first bytes of its body */
function field(type: number, length: number, body: readonly number[] = []): number[] {
  const bytes = new Array<number>(length).fill(0x5a)
  bytes.splice(0, 4, type >> 8, type & 0xff, length >> 8, length & 0xff)
  bytes.splice(4, body.length, ...body)
  return bytes
}
const IDENTIFIER = field(0x0104, 36)
const COOKIE = field(0x0204, 104)
const PLACEHOLDER = field(0x0304, 104)
/** A nonce and a tag of 16 bytes each. */
const AUTHENTICATOR = field(0x0404, 40, [0, 16, 0, 16])
/** A request with extension fields. */
function withFields(...fields: readonly number[][]): Uint8Array {
  return Uint8Array.from([...request(head(0, 4, 3)), ...fields.flat()])
}
const isRequest = (bytes: Uint8Array) => isNtpRequest(datagram(bytes))

t.test('requests of NTS pass, with up to seven placeholders for cookies', async (t) => {
  t.ok(isRequest(withFields(IDENTIFIER, COOKIE, AUTHENTICATOR)))
  for (const count of [1, 7])
    t.ok(isRequest(withFields(IDENTIFIER, COOKIE, ...Array(count).fill(PLACEHOLDER), AUTHENTICATOR)))
  const chrony = [field(0xf323, 28), field(0xf324, 28)]
  t.ok(isRequest(withFields(...chrony, IDENTIFIER, COOKIE, AUTHENTICATOR)), 'fields of chrony')
  t.ok(isRequest(withFields(field(0x0104, 68), COOKIE, field(0x0404, 48, [0, 16, 0, 16]))), 'padding')
})

t.test('a long datagram that is no request of NTS is refused', async (t) => {
  const wrong: Record<string, readonly number[][]> = {
    'no identifier': [COOKIE, AUTHENTICATOR],
    'no cookie': [IDENTIFIER, field(0xf323, 28), AUTHENTICATOR],
    'no authenticator': [IDENTIFIER, COOKIE],
    'two cookies': [IDENTIFIER, COOKIE, COOKIE, AUTHENTICATOR],
    'two identifiers': [IDENTIFIER, IDENTIFIER, COOKIE, AUTHENTICATOR],
    'a field behind the authenticator': [IDENTIFIER, COOKIE, AUTHENTICATOR, field(0xf323, 28)],
    'two authenticators': [IDENTIFIER, COOKIE, AUTHENTICATOR, AUTHENTICATOR],
    'a placeholder of another length': [IDENTIFIER, COOKIE, field(0x0304, 108), AUTHENTICATOR],
    'eight placeholders': [IDENTIFIER, COOKIE, ...Array<number[]>(8).fill(PLACEHOLDER), AUTHENTICATOR],
    'eight short placeholders': [
      IDENTIFIER,
      field(0x0204, 20),
      ...Array<number[]>(8).fill(field(0x0304, 20)),
      AUTHENTICATOR,
    ],
    'a field of another type': [IDENTIFIER, COOKIE, field(0x0002, 28), AUTHENTICATOR],
    'a short identifier': [field(0x0104, 32), COOKIE, AUTHENTICATOR],
    'a long identifier': [field(0x0104, 72), COOKIE, AUTHENTICATOR],
    'a long cookie': [IDENTIFIER, field(0x0204, 264), AUTHENTICATOR],
    'a long authenticator': [IDENTIFIER, COOKIE, field(0x0404, 140, [0, 16, 0, 16])],
    'a nonce longer than its field': [IDENTIFIER, COOKIE, field(0x0404, 40, [0, 32, 0, 16])],
    'no nonce': [IDENTIFIER, COOKIE, field(0x0404, 40, [0, 0, 0, 16])],
    'no tag': [IDENTIFIER, COOKIE, field(0x0404, 40, [0, 16, 0, 0])],
    'a field of chrony of another length': [IDENTIFIER, COOKIE, field(0xf323, 32), AUTHENTICATOR],
    'bytes behind the fields': [IDENTIFIER, COOKIE, AUTHENTICATOR, [0, 0, 0, 0]],
    'a field longer than the datagram': [IDENTIFIER, COOKIE, AUTHENTICATOR.slice(0, 36)],
    'a length that is no multiple of 4': [
      IDENTIFIER,
      [2, 4, 0, 105, ...Array<number>(100).fill(0)],
      AUTHENTICATOR,
    ],
    'a field without a body': [[1, 4, 0, 4], IDENTIFIER, COOKIE, AUTHENTICATOR],
  }
  for (const [what, fields] of Object.entries(wrong)) t.notOk(isRequest(withFields(...fields)), what)
  const peer = withFields(IDENTIFIER, COOKIE, AUTHENTICATOR)
  peer[0] = head(0, 4, 1)
  t.notOk(isRequest(peer), 'a peer')
  const long = [IDENTIFIER, field(0x0204, 260), ...Array<number[]>(4).fill(field(0x0304, 260)), AUTHENTICATOR]
  t.notOk(isRequest(withFields(...long)), 'more than 1,300 bytes')
})

t.test('a datagram of which the kernel has copied the beginning only is refused', async (t) => {
  const whole = datagram(request(head(0, 4, 3), 20))
  t.ok(isNtpRequest(whole))
  t.notOk(isNtpRequest(Object.assign(whole, { isWhole: false })))
})
