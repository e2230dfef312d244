import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Systemd } from '../../src/system/systemd.js'

const SOURCE = fileURLToPath(new URL('../../../test/system/programs/notify-receiver.c', import.meta.url))

/**
 * Simulates systemd's end of the socket in C, because Node has no AF_UNIX datagram sockets.
 * @returns the address of the socket, and a function for the lines of the next datagrams
 */
async function receiver(t: Test) {
  const program = join(t.testdir(), 'notify-receiver')
  execFileSync('cc', ['-Wall', '-o', program, SOURCE])
  const socket = `@checkvalve-${randomUUID()}`
  const child = spawn(program, [socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(async () => {
    child.kill()
    await once(child, 'close')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (count = 1): Promise<string[]> => {
    const texts: string[] = []
    for (let i = 0; i < count; i++) texts.push((await lines.next()).value)
    return texts
  }
  t.same(await next(), ['bound'])
  return { socket, next }
}

const silent = (t: Test) => ({ warn: (line: string) => void t.fail(line) })

/** Collects periodic work by its interval in milliseconds. */
function periodic() {
  const works: [ms: number, work: () => void | Promise<void>][] = []
  return { works, every: (ms: number, work: () => void | Promise<void>) => void works.push([ms, work]) }
}

t.test('systemd is notified when the service is ready, changes its mode, and stops', async (t) => {
  const { socket, next } = await receiver(t)
  const systemd = new Systemd({ NOTIFY_SOCKET: socket }, silent(t))
  systemd.starting()
  t.same(await next(), ['[EXTEND_TIMEOUT_USEC=60000000]'])
  systemd.ready('enforce')
  systemd.mode('observe')
  systemd.stopping()
  t.same(await next(4), ['[READY=1', 'STATUS=mode enforce]', '[STATUS=mode observe]', '[STOPPING=1]'])
})

t.test('the watchdog is notified twice in each of its intervals', async (t) => {
  const { socket, next } = await receiver(t)
  const timers = periodic()
  let isWell = true
  new Systemd({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: '10000000' }, silent(t)).feedWatchdog(
    timers,
    () => isWell,
  )
  t.same(
    timers.works.map(([ms]) => ms),
    [5000],
  )
  const feed = timers.works[0]![1]
  await feed()
  isWell = false
  await feed()
  new Systemd({ NOTIFY_SOCKET: socket }, silent(t)).stopping()
  t.same(await next(2), ['[WATCHDOG=1]', '[STOPPING=1]'], 'a service that does not work is not fed')
})

t.test('without a watchdog, or without systemd, nothing is sent', async (t) => {
  const timers = periodic()
  for (const environment of [{}, { WATCHDOG_USEC: '0' }, { WATCHDOG_USEC: 'soon' }])
    new Systemd(environment, silent(t)).feedWatchdog(timers, () => true)
  t.same(timers.works, [])
  new Systemd({}, silent(t)).ready('enforce')
})

t.test('when systemd cannot be reached, the service logs that and continues', async (t) => {
  const warnings: string[] = []
  const environment = { NOTIFY_SOCKET: `@checkvalve-${randomUUID()}` }
  new Systemd(environment, { warn: (line: string) => void warnings.push(line) }).ready('enforce')
  t.equal(warnings.length, 1)
  t.match(warnings[0], /^notifying @checkvalve-/)
})
