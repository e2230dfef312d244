import { readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { IPPROTO_ICMP, IPPROTO_TCP } from '../../src/core/packet/ip.js'
import { Packet } from '../../src/core/packet/packet.js'
import { compile } from '../../src/core/policy/policy.js'
import { AcceptedFlowsFile, PASSED_FILE } from '../../src/records/accepted-flows-file.js'
import { passedOf } from '../../src/records/accepted-flows-format.js'
import { words } from '../core/packets.js'

const NOW = Date.UTC(2027, 0, 1)
const SPEC = { name: 'redis', protocol: 'tcp', ports: [], prefixes: [], names: [], domains: [] } as const
const ACCEPT = compile({ reason: 'rule', ...SPEC }).accept

function keeping(t: Test, directory = t.testdir()) {
  const errors: string[] = []
  const log = { error: (line: string) => errors.push(line), warn: () => {} }
  const userName = (uid: number) => (uid === 33 ? 'www-data' : undefined)
  const keeper = new AcceptedFlowsFile(directory, userName, log as never)
  const note = (to: string, port: number, uid: number) => {
    const protocol = port === 0 ? IPPROTO_ICMP : IPPROTO_TCP
    const packet = Object.assign(new Packet(), {
      protocol,
      destinationPort: port,
      sourcePort: port && 40_000,
    })
    packet.destination.set(words(to))
    keeper.flows.note(packet, uid, ACCEPT, NOW, () => ({ unit: 'app.service', domain: 'db.example.org' }))
  }
  return { keeper, note, path: `${directory}/${PASSED_FILE}`, directory, errors }
}

t.test('accepted flows are saved, returned, and known to the next run', async (t) => {
  const { keeper, note, path, directory } = keeping(t)
  note('192.0.2.6', 6379, 33)
  note('192.0.2.6', 6379, 33)
  note('192.0.2.7', 0, -1)
  await keeper.write()
  const kind = {
    ...{ uid: 33, user: 'www-data', units: ['app.service'], transport: 'tcp', address: '192.0.2.6' },
    ...{ port: 6379, sourcePort: 40_000, domain: 'db.example.org', reason: 'rule', rule: 'redis', count: 2 },
    ...{ first: '2027-01-01T00:00:00.000Z', last: '2027-01-01T00:00:00.000Z' },
  }
  const status = JSON.parse(JSON.stringify(keeper.status()))
  t.match(status, { kinds: [kind, { transport: 'icmp', address: '192.0.2.7', count: 1 }], evicted: 0 })
  t.notOk('uid' in status.kinds[1] || 'port' in status.kinds[1], 'unknown fields are left out')
  t.same(JSON.parse(readFileSync(path, 'utf8')), status)
  t.equal(passedOf(status).length, 2, 'replay can read the file')
  const next = keeping(t, directory)
  t.same(next.keeper.status(), keeper.status())
})

t.test('the next run knows that some flows were evicted', async (t) => {
  const { keeper, note, directory } = keeping(t)
  note('192.0.2.6', 6379, 33)
  keeper.flows.evicted = 7
  await keeper.write()
  const next = keeping(t, directory)
  t.equal(next.keeper.status().evicted, 7)
})

t.test('the file is written once a minute, and only after a change', async (t) => {
  const { keeper, note, path } = keeping(t)
  const written = () => JSON.parse(readFileSync(path, 'utf8')).kinds.length
  note('192.0.2.1', 80, 0)
  await keeper.tick(NOW)
  t.equal(written(), 1)
  note('192.0.2.2', 80, 0)
  await keeper.tick(NOW + 59_999)
  t.equal(written(), 1)
  await keeper.tick(NOW + 60_000)
  t.equal(written(), 2)
  writeFileSync(path, 'untouched')
  await keeper.tick(NOW + 120_000)
  t.equal(readFileSync(path, 'utf8'), 'untouched')
})

t.test('a folder that cannot be written is logged once, however often the write is repeated', async (t) => {
  const { keeper, note, errors } = keeping(t, `${t.testdir({ file: '' })}/file`)
  for (let minute = 0; minute < 5; minute++) {
    note('192.0.2.1', 80, 0)
    await keeper.tick(minute * 60_000)
  }
  t.match(errors, [/ENOTDIR.*replay does not see the latest accepted flows/])
  t.match(await keeper.write(), /ENOTDIR/)
})

t.test('an invalid or edited file does not stop the start: its invalid parts are skipped', async (t) => {
  for (const text of ['', '{', 'null', '[]', '{}', '{"kinds":7}', '{"kinds":[null,7,"a",{},[]]}']) {
    const { keeper } = keeping(t, t.testdir({ [PASSED_FILE]: text }))
    t.same(keeper.status().kinds, [], text)
  }
  const { keeper, note, path, directory } = keeping(t)
  note('192.0.2.6', 6379, 33)
  await keeper.write()
  const { kinds } = JSON.parse(readFileSync(path, 'utf8'))
  for (const [key, odd] of [
    ['address', 'nowhere'],
    ['transport', '999'],
    ['reason', 'none'],
    ['rule', 7],
    ['count', -1],
    ['last', 'never'],
  ] as const) {
    writeFileSync(path, JSON.stringify({ kinds: [{ ...kinds[0], [key]: odd }] }))
    const next = keeping(t, directory)
    t.same(next.keeper.status().kinds, [], key)
  }
})
