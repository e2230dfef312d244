import t from 'tap'
import { isLoopback, isMapped } from '../../../src/core/packet/ip.js'
import { words } from '../packets.js'

const address = (text: string) => ({ family: text.includes(':') ? 6 : 4, words: words(text) }) as const

t.test('loopback is 127.0.0.0/8 and ::1, and no address beside them', async (t) => {
  for (const text of ['127.0.0.0', '127.0.0.1', '127.255.255.255', '::1'])
    t.ok(isLoopback(address(text)), text)
  for (const text of [
    '126.255.255.255',
    '128.0.0.0',
    '0.0.0.0',
    '0.0.0.1',
    '::',
    '::2',
    '1::1',
    '0:1::1',
    '0:0:0:1::1',
    '::1:0:1',
  ])
    t.notOk(isLoopback(address(text)), text)
})

t.test('an IPv4 address in IPv6 form is in ::ffff:0:0/96', async (t) => {
  for (const text of ['::ffff:0:0', '::ffff:192.0.2.1', '::ffff:ffff:ffff']) t.ok(isMapped(words(text)), text)
  for (const text of ['::', '::c000:201', '::fffe:0:0', '::1:ffff:0:0', '1::ffff:0:0', '0:0:1::ffff:0:0'])
    t.notOk(isMapped(words(text)), text)
})
