/**
 * Tests that resolvers and time servers receive what was judged: no page that changes while its packet waits, and no segments that
 * overlap, make another message.
 */
import t, { type Test } from 'tap'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import type { Namespace } from '../lab/namespace.js'
import { MIRROR, VICTIM } from '../lab/topology.js'
import { framed, RECORDS, SETTINGS } from './enforced-names.js'
import { compile } from './programs.js'
import { createLab, guard, NAME, query } from './resolving.js'
import { eventually, NODE } from './service.js'

t.jobs = 2

async function enforced(t: Test, name = NAME) {
  const lab = await createLab(t)
  const dns = await serveDnsmasq(lab.mirror, RECORDS)
  const service = await guard(t, lab, SETTINGS.replace('{ ', '{ resolve: false, ').replace(NAME, name))
  await service.launch()
  const arrived = (name: string) => dns.queries().filter((each) => each === name).length
  return { ...lab, service, arrived }
}

/** A name as long as the allowed one. */
const SECRET = 'secret.example.net'

/** Sends datagrams whose page changes while they wait. @returns how many were sent: a refused one ends the next call */
async function swap(
  place: Namespace,
  to: readonly string[],
  good: Buffer,
  evil: Buffer,
  way: string,
  checksum = '1',
) {
  const words = [...to, String(COUNT), good.toString('hex'), evil.toString('hex'), way, checksum]
  return Number((await place.run([compile('swap'), ...words])).stdout)
}

const COUNT = 100
const WAYS = ['send', 'sendfile']

t.test('a page that changes after the verdict does not change the query', async (t) => {
  const { web, service, arrived } = await enforced(t)
  const resolver = [MIRROR.v4, '53']
  t.equal(SECRET.length, NAME.length)
  for (const way of WAYS) {
    const before = arrived(NAME)
    t.ok((await swap(web, resolver, query(NAME), query(SECRET), way)) > 0)
    await eventually('the queries that were judged in time arrive', () => arrived(NAME) > before)
  }
  t.equal(arrived(SECRET), 0, 'no other query arrived')

  const blocked = () => service.metric('packets_total', 'reason="name-not-allowed"')
  const [before, asked] = [await blocked(), arrived(NAME)]
  const sent = await swap(web, resolver, query(NAME), query(SECRET), 'send', '0')
  t.ok(sent > 0)
  await eventually('queries without a checksum are blocked', async () => (await blocked()) >= before + sent)
  t.same([arrived(NAME), arrived(SECRET)], [asked, 0])
})

/** LISTEN: prints the last byte of each datagram to the port of NTP. */
const LISTEN = `const socket = require('dgram').createSocket('udp4')
socket.on('message', (message) => console.log('got', message.at(-1)))
socket.bind(123, () => console.log('listening'))`

t.test('a page that changes after the verdict does not change what a time server gets', async (t) => {
  const lab = await createLab(t)
  const service = await guard(t, lab, `infrastructure: { dns: [], ntp: [${VICTIM.v4}] }\n`)
  const server = lab.victims.spawn([...NODE, '-e', LISTEN])
  await server.until(() => server.stdout || undefined)
  await service.launch()
  const got = (byte: number) => server.stdout.split(`got ${byte}\n`).length - 1
  const [good, evil] = [Buffer.alloc(48), Buffer.alloc(48, 7)]
  good[0] = 0x23
  for (const way of WAYS)
    for (const checksum of ['0', '1']) {
      const before = got(0)
      t.ok((await swap(lab.web, [VICTIM.v4, '123'], good, evil, way, checksum)) > 0)
      await eventually('the requests that were judged in time arrive', () => got(0) > before)
    }
  t.equal(got(7), 0, 'nothing else arrived')
})

/** The greatest length of a segment on a link of 1,500 bytes, with timestamps; and what IP options take of it. */
const MSS = 1448
const OPTIONS = 40
/** An allowed name that is so short that a whole query fits into a cookie behind it. */
const SHORT = 'db'

/** Returns a query with one EDNS option (RFC 6891). */
function withOption(code: number, data: Buffer): Buffer {
  const option = Buffer.from([code >> 8, code, data.length >> 8, data.length])
  const length = option.length + data.length
  const asked = query(SHORT)
  asked.writeUInt16BE(1, 10)
  return Buffer.concat([
    asked,
    Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, length >> 8, length]),
    option,
    data,
  ])
}

const [COOKIE, PADDING] = [10, 12]

/**
 * Returns a stream of allowed queries, whose first segment ends OPTIONS bytes early. The second one is an allowed query,
 * too; its cookie holds `evil`, which begins where the first segment ends when it is sent again whole.
 */
function overlapping(evil: Buffer): Buffer {
  const head = framed(withOption(COOKIE, Buffer.alloc(OPTIONS))).subarray(0, -OPTIONS)
  const second = framed(
    withOption(COOKIE, Buffer.concat([Buffer.alloc(OPTIONS - head.length), evil], OPTIONS)),
  )
  const messages = [framed(withOption(COOKIE, second.subarray(0, OPTIONS)))]
  const least = framed(withOption(PADDING, Buffer.alloc(0))).length
  for (let left = MSS - messages[0]!.length; left > 0; left -= messages[0]!.length) {
    const padding = Math.min(128, left - least < 128 + least ? left - least : 128)
    messages.unshift(framed(withOption(PADDING, Buffer.alloc(padding))))
  }
  return Buffer.concat([...messages, second.subarray(OPTIONS)])
}

t.test('segments that overlap make no query that was not judged', async (t) => {
  const { web, service, arrived } = await enforced(t, SHORT)
  const evil = 'x.example.net'
  const stream = overlapping(framed(query(evil)))
  t.equal(stream.length, MSS + framed(withOption(COOKIE, Buffer.alloc(OPTIONS))).length - OPTIONS)
  const sender = web.spawn([compile('overlap'), MIRROR.v4, String(MSS), stream.toString('hex')])
  await sender.until(() => sender.stdout || undefined)
  // The first segment ends in the middle of a message, and with it the connection.
  await eventually('it is blocked', async () => (await service.blocks()) > 0)
  await sender.exited
  t.same([arrived(evil), arrived(SHORT)], [0, 0])
})
