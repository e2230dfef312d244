/** Debian's rsyslog, as a user of group adm, ships the log of a running service over plain TCP. */
import { chmodSync, chownSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Program } from '../lab/program.js'
import { canSwitchUsers, idsOf } from '../lab/users.js'
import { eventually, NODE } from '../netns/service.js'
import { Rsyslog, sample } from './rsyslog.js'
import { ShippedHost } from './shipped-host.js'

const PORT = 514
/** The user of rsyslog: on Ubuntu it is `syslog`. */
const USER = canSwitchUsers() ? 'www-data' : 'root'
/** The header of RFC 5424, with facility local0 and severity warning. */
const HEADER = /^<132>1 \d{4}-\d\d-\d\dT\S+ web1 checkvalve - - - /

/** LISTEN PORT: prints what comes on all connections. */
const LISTEN = `require('net').createServer((socket) => socket.pipe(process.stdout, { end: false }))
  .listen(+process.argv[1], () => console.log('listening'))`

/** Returns the sample for plain TCP, as its comment has it. */
const overTcp = () =>
  sample('rsyslog.conf')
    .replace(/^.*"omrelp".*\n/gm, '')
    .replace('# action(type="omfwd"', 'action(type="omfwd"')

/** A collector that prints lines. */
class Listener {
  readonly #host: ShippedHost
  #servers: Program[] = []

  constructor(host: ShippedHost) {
    this.#host = host
  }

  async start(): Promise<void> {
    const server = this.#host.collector.spawn([...NODE, '-e', LISTEN, `${PORT}`])
    this.#servers.push(server)
    await server.until(() => server.stdout || undefined)
  }

  async stop(): Promise<void> {
    await this.#servers.at(-1)?.stop()
  }

  /** All lines that came, without those of the program itself. */
  get lines(): string[] {
    return this.#servers.flatMap(({ stdout }) =>
      stdout.split('\n').filter((line) => line !== '' && line !== 'listening'),
    )
  }
}

/** Lets a user in group adm read a folder, and files that come into it: systemd/checkvalve.tmpfiles. */
function giveToReaders(folder: string): void {
  const group = /^adm:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))![1]!
  chownSync(folder, 0, +group)
  chmodSync(folder, 0o2750)
}

/** Starts a service, and rsyslog as a user of group adm. */
async function shipping(t: Test) {
  const { uid, gid } = idsOf(USER)
  const allow = `[{ name: shipping, to: [logs.example.org], ports: [${PORT}], users: [${USER}] }]`
  const host = await ShippedHost.create(t, allow)
  const through = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--groups=adm']
  const config = overTcp()
  const web = new Rsyslog(host, host.web, { name: 'web1', config, through: canSwitchUsers() ? through : [] })
  if (canSwitchUsers()) {
    chmodSync(host.service.folder, 0o755)
    giveToReaders(host.path('log'))
    chownSync(web.spool, +uid, +gid)
  }
  const collector = new Listener(host)
  await host.start()
  await collector.start()
  await web.start()
  return { host, web, collector }
}

t.test('each line arrives once and in order, across rotations and restarts on both sides', async (t) => {
  const { host, web, collector } = await shipping(t)
  const arrive = async (what: string) => {
    await eventually(what, async () => collector.lines.length >= host.written().length)
    const [lines, written] = [collector.lines, host.written()]
    t.strictSame(
      lines.map((line) => line.replace(HEADER, '')),
      written,
      what,
    )
    t.ok(lines.every((line) => HEADER.test(line)))
  }
  await host.block(5)
  await host.rotate()
  await host.block(5)
  await arrive('a rotation')
  await web.stop()
  await host.block(5)
  await host.rotate(false)
  await host.block(5)
  await web.start()
  await arrive('a restart of rsyslog')
  await collector.stop()
  await host.block(5)
  await host.rotate()
  await host.block(5)
  await collector.start()
  await host.block(1)
  await arrive('a restart of the collector')
})
