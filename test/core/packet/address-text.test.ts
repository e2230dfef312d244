import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { formatAddress, formatPortRange, formatPrefix } from '../../../src/core/packet/address-text.js'
import { originText } from '../../../src/core/policy/origin.js'
import { words } from '../packets.js'
import { seededRandom } from '../random.js'

t.test('an IPv4 address is written in decimal parts, also when the first bit is set', async (t) => {
  for (const text of ['192.0.2.1', '0.0.0.0', '255.255.255.255', '198.51.100.20'])
    t.equal(formatAddress(4, words(text)), text)
})

t.test('an IPv6 address is written in the form of RFC 5952', async (t) => {
  const written: Record<string, string> = {
    '2001:0db8:0000:0000:0000:0000:0000:0001': '2001:db8::1',
    '::': '::',
    '::1': '::1',
    '2001:db8::': '2001:db8::',
    '2001:DB8::ABCD': '2001:db8::abcd',
    // RFC 5952, 4.2.2: a single zero group is not shortened.
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    // RFC 5952, 4.2.3: the longest run of zeros is shortened, on a tie the first.
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '2001:db8:1:2:3:4:5:6': '2001:db8:1:2:3:4:5:6',
    '0:0:1:2:3:4:0:0': '::1:2:3:4:0:0',
    'fe80:0:0:0:a:b:0:0': 'fe80::a:b:0:0',
  }
  for (const [long, short] of Object.entries(written)) t.equal(formatAddress(6, words(long)), short)
})

t.test('the text of any address is read as the same address', async (t) => {
  const random = seededRandom(5952)
  const wrong: string[] = []
  for (let i = 0; i < 500; i++) {
    // Random addresses have many zeros: these make the text of an IPv6 address hard.
    const bits = Uint32Array.from({ length: 4 }, () => (random(3) === 0 ? random(2 ** 32) : random(3) << 16))
    const six = formatAddress(6, bits)
    const others = ipaddr.fromByteArray([...bytesOf(bits)]).toString()
    if (isIP(six) !== 6 || words(six).join() !== bits.join() || six !== others) wrong.push(`${six} ${others}`)
    const four = formatAddress(4, bits)
    if (isIP(four) !== 4 || words(four)[0] !== bits[0]) wrong.push(four)
  }
  t.same(wrong, [])
})

t.test('a prefix is written with its length, a single address without it', async (t) => {
  const text = (address: string, length: number) =>
    formatPrefix({ family: address.includes(':') ? 6 : 4, words: words(address), length })
  t.equal(text('192.0.2.0', 24), '192.0.2.0/24')
  t.equal(text('192.0.2.1', 32), '192.0.2.1')
  t.equal(text('0.0.0.0', 0), '0.0.0.0/0')
  t.equal(text('2001:db8::', 32), '2001:db8::/32')
  t.equal(text('2001:db8::1', 128), '2001:db8::1')
})

function* bytesOf(bits: Uint32Array): Generator<number> {
  for (const word of bits) for (const shift of [24, 16, 8, 0]) yield (word >>> shift) & 255
}

t.test('an origin is written with its line, when the source has lines', async (t) => {
  t.equal(originText({ file: '/etc/apt/sources.list', line: 2 }), '/etc/apt/sources.list:2')
  t.equal(originText({ file: '--set', line: undefined }), '--set')
})

t.test('a range of one port is written as that port', async (t) => {
  t.equal(formatPortRange({ first: 443, last: 443 }), '443')
  t.equal(formatPortRange({ first: 0, last: 65535 }), '0-65535')
})
