/** Debian's rsyslog ships the log of a running service with the files of shipping/. */
import { copyFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { VICTIM } from '../lab/topology.js'
import { eventually } from '../netns/service.js'
import { templateTypes } from '../records/block-log/index-template.js'
import { longestLine } from '../records/block-log/longest-line.js'
import { Rsyslog, sample } from './rsyslog.js'
import { ShippedHost } from './shipped-host.js'

const ALLOW = '[{ name: log-shipping, to: [logs.example.org], ports: [2514], users: [root] }]'
/** The file in which the collector keeps the lines of the host `web1`. */
const COLLECTED = 'collected/web1.json'
/** How many lines the kernel takes for a connection that the other side has closed, until rsyslog sees that. */
const SENT_AT_MOST = 5
/** A name with letters that JSON escapes, letters of several bytes, and one that the log makes safe. */
const NAME = 'say "Grüße" \\ 🧀\x01'

/** Starts a service, its rsyslog, and that of the collector. */
async function shipping(t: Test) {
  const host = await ShippedHost.create(t, ALLOW)
  const web = new Rsyslog(host, host.web, { name: 'web1', config: sample('rsyslog.conf') })
  const collector = new Rsyslog(host, host.collector, {
    name: 'logs',
    config: sample('rsyslog-collector.conf'),
  })
  await host.start()
  await collector.start()
  await web.start()
  return { host, web, collector }
}

/** Waits for all lines of the log at the collector, and asserts that they are the same, once and in order. */
async function arrive(t: Test, host: ShippedHost, what: string): Promise<void> {
  await eventually(what, async () => host.lines(COLLECTED).length >= host.written().length)
  t.strictSame(host.lines(COLLECTED), host.written(), what)
}

/** Waits for the last line of the log at the collector. @returns all lines, and those that have not arrived */
async function lastArrived(host: ShippedHost) {
  const last = host.written().at(-1)!
  await eventually('the last line has arrived', async () => host.lines(COLLECTED).includes(last))
  const [written, collected] = [host.written(), host.lines(COLLECTED)]
  return { written, collected, missing: written.filter((line) => !collected.includes(line)) }
}

/** Lets a program of root with a hostile name try to connect. */
async function blockNamed(host: ShippedHost): Promise<void> {
  const program = host.path(NAME)
  copyFileSync('/bin/bash', program)
  const before = host.written().length
  await host.web.run([program, '-c', `exec 3<>/dev/tcp/${VICTIM.v4}/99`], { allowFailure: true })
  await eventually('its block is in the log', async () => host.written().length > before)
}

t.test('rsyslog accepts the files for it', async (t) => {
  const host = await ShippedHost.create(t)
  for (const file of ['rsyslog.conf', 'rsyslog-collector.conf']) {
    const said = await new Rsyslog(host, host.web, { name: file, config: sample(file) }).check()
    t.match(said, /^0 /)
    t.notMatch(said, /error|warning/i)
  }
})

t.test(
  'each line arrives once, in order and as it was written: any letters, any length, rotations',
  async (t) => {
    const { host, web } = await shipping(t)
    await host.block(10)
    await blockNamed(host)
    host.append(...['a', '"', '\\', '🧀', '\u0001'].map((letter) => longestLine(letter, true)))
    await arrive(t, host, 'the first lines have arrived')
    for (let turn = 0; turn < 6; turn++) {
      await host.block(4)
      await host.rotate(turn % 2 === 0)
      await host.block(4)
    }
    await arrive(t, host, 'rotations lose nothing')

    const types = templateTypes()
    const lines = host.lines(COLLECTED).map((line) => JSON.parse(line) as Record<string, unknown>)
    for (const line of lines)
      for (const [name, value] of Object.entries(line)) {
        const isNumber = types.get(name) === 'long'
        if (!types.has(name) || (typeof value === 'number') !== isNumber)
          t.fail(`${name} is not in the template`)
      }
    const program = lines.find((line) => line['destination.port'] === 99)?.['process.executable']
    t.equal(program, host.path(NAME).replace('\x01', '\\x01'))
    t.ok(host.written().some((line) => Buffer.byteLength(line) > 3500))
    t.notMatch(web.messages, /error|suspended/)
  },
)

t.test('no line is lost while the collector is away for days of rotations', async (t) => {
  const { host, collector } = await shipping(t)
  await host.block(5)
  await arrive(t, host, 'the first lines have arrived')
  await collector.stop()
  for (let turn = 0; turn < 4; turn++) {
    await host.block(5)
    await host.rotate(turn % 2 === 0)
  }
  await host.block(5)
  t.equal(host.lines(COLLECTED).length, 5)
  await collector.start()
  await arrive(t, host, 'all lines have arrived when the collector is back')
  await host.block(5)
  await arrive(t, host, 'and it goes on')
})

t.test(
  'a restart of rsyslog neither loses a line nor sends one again, with or without a rotation',
  async (t) => {
    const { host, web } = await shipping(t)
    for (let turn = 0; turn < 4; turn++) {
      await host.block(5)
      await web.stop()
      await host.block(5)
      if (turn % 2 === 1) await host.rotate()
      await host.block(5)
      await web.start()
      await host.block(5)
      await arrive(t, host, `after restart ${turn + 1}`)
    }
  },
)

t.test(
  'an end or crash of rsyslog while the collector is away loses only lines that it had sent',
  async (t) => {
    for (const end of ['stop', 'kill'] as const) {
      const { host, web, collector } = await shipping(t)
      await host.block(5)
      await arrive(t, host, 'the first lines have arrived')
      await collector.stop()
      await host.block(10)
      await eventually('rsyslog has the last line', async () => web.queue().includes(host.written().at(-1)!))
      await web[end]()
      await host.block(10)
      await web.start()
      await host.block(10)
      await collector.start()
      const { written, collected, missing } = await lastArrived(host)
      t.same(missing, written.slice(5, 5 + missing.length), 'the first ones after the end of the collector')
      t.ok(missing.length <= SENT_AT_MOST, `${missing.length} missing`)
      t.same(
        [...new Set(collected)],
        written.filter((line) => !missing.includes(line)),
        'all others arrive, in order',
      )
    }
  },
)

t.test('a crash of rsyslog, or one of the collector, loses no line', async (t) => {
  const { host, web, collector } = await shipping(t)
  for (const crashing of [web, collector, web, collector]) {
    await host.block(10)
    await lastArrived(host)
    await crashing.kill()
    await host.block(10)
    await crashing.start()
    await host.block(1)
    t.same((await lastArrived(host)).missing, [])
  }
})
