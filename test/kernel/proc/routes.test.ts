import { endianness } from 'node:os'
import t from 'tap'
import { formatPrefix } from '../../../src/core/packet/address-text.js'
import { routedPrefixes } from '../../../src/kernel/proc/routes.js'

/** Writes a __be32 as the kernel of this host does. */
const hex = (bytes: readonly number[]) =>
  (endianness() === 'LE' ? [...bytes].reverse() : bytes)
    .map((byte) => byte.toString(16).padStart(2, '0').toUpperCase())
    .join('')
const line4 = (to: number[], mask: number[], flags = '0001') =>
  `eth0\t${hex(to)}\t00000000\t${flags}\t0\t0\t0\t${hex(mask)}\t0\t0\t0   `
const line6 = (to: string, length: string, flags = '00000001') =>
  `${to} ${length} ${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00000100 00000001 00000000 ${flags}     eth0`

const HEADER = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   '

t.test(
  'prefixes of IPv4 are listed, without default route, rejected ones, loopback and multicast',
  async (t) => {
    const text = [
      HEADER,
      line4([0, 0, 0, 0], [0, 0, 0, 0], '0003'),
      line4([198, 51, 100, 0], [255, 255, 255, 0]),
      line4([203, 0, 113, 7], [255, 255, 255, 255], '0007'),
      line4([192, 0, 2, 0], [255, 255, 255, 0], '0201'),
      line4([127, 0, 0, 0], [255, 0, 0, 0]),
      line4([224, 0, 0, 0], [240, 0, 0, 0]),
      'eth0\tcut',
      '',
    ].join('\n')
    t.same(routedPrefixes(4, text).map(formatPrefix), ['198.51.100.0/24', '203.0.113.7'])
  },
)

t.test('prefixes of IPv6 are listed, without those of the link, of this host, and multicast', async (t) => {
  const text = [
    line6('20010db8005100000000000000000000', '40'),
    line6('00000000000000000000000000000000', '00'),
    line6('fe800000000000000000000000000000', '40'),
    line6('ff000000000000000000000000000000', '08'),
    line6('20010db8005100000000000000000001', '80', '80200001'),
    line6('20010db8000000000000000000000000', '20', '00200200'),
    'cut',
  ].join('\n')
  t.same(routedPrefixes(6, text).map(formatPrefix), ['2001:db8:51::/64'])
})

t.test('the routes of this namespace are read, and a router has not too many', async (t) => {
  t.ok(Array.isArray(routedPrefixes(4)))
  t.ok(Array.isArray(routedPrefixes(6)))
  const many = Array.from({ length: 1000 }, (_, i) => line4([198, 18, i >> 8, i & 255], [255, 255, 255, 255]))
  t.equal(routedPrefixes(4, many.join('\n')).length, 64)
})
