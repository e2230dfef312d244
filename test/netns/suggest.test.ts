/** Tests the way from observe to enforce by the commands suggest and replay. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { Cgroups } from '../lab/cgroup.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { NEIGHBOURS, type Topology, VICTIM } from '../lab/topology.js'
import { command, serveHttp, serveUdpEcho } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { createLab } from './resolving.js'
import { eventually, Service } from './service.js'

const API = 'api.example.org'
const API_ADDRESSES = ['203.0.113.20', '203.0.113.21']
const ECHO = 4000

/** A program that sends to an address. */
interface Call {
  readonly unit: string
  readonly user: string
  readonly argv: readonly string[]
}

const get = (unit: string, user: string, url: string): Call => ({
  unit,
  user,
  argv: command('http-get', [url, 20_000]),
})
const say = (unit: string, user: string, address: string, port = ECHO): Call => ({
  unit,
  user,
  argv: command('send-udp', [address, port, 1, 2000]),
})

const SHOP = canSwitchUsers() ? 'www-data' : 'root'

/** The calls that were observed: by name and by address, over IPv4 and IPv6, TCP and UDP. */
const WANTED: readonly Call[] = [
  get('shop.service', SHOP, `http://${API}/`),
  say('shop.service', SHOP, VICTIM.v4),
  get('backup.service', 'root', 'http://203.0.113.40/'),
  get('backup.service', 'root', 'http://[2001:db8:113::28]:8000/'),
]

/** Calls that were never observed. Each differs from an observed one in address, port or protocol. */
const UNWANTED: readonly Call[] = [
  get('shop.service', SHOP, 'http://203.0.113.22/'),
  get('shop.service', SHOP, `http://${API}:8000/`),
  say('shop.service', SHOP, VICTIM.v4, ECHO + 1),
  say('backup.service', 'root', '203.0.113.40'),
  get('backup.service', 'root', 'http://203.0.113.40:8000/'),
  get('backup.service', 'root', 'http://[2001:db8:113::28]/'),
]
/** Calls that differ from an observed one in user or unit. */
const OTHERS: readonly Call[] = [
  get('shop.service', SHOP, 'http://203.0.113.40/'),
  say('shop.service', 'root', VICTIM.v4),
  get('php8.2-fpm.service', SHOP, `http://${API}/`),
  get('php8.2-fpm.service', SHOP, 'http://203.0.113.100/'),
]

const SETTINGS = 'infrastructure: { ntp: [] }\ncanary: { interval: 1d }\n'

async function prepare(t: Test) {
  const lab = await createLab(t)
  await serveDnsmasq(lab.mirror, { records: { [API]: API_ADDRESSES }, ttl: 300 })
  await Promise.all([
    serveHttp(lab.victims, 8000),
    serveUdpEcho(lab.victims, ECHO),
    serveUdpEcho(lab.victims, ECHO + 1),
  ])
  const service = Service.prepare(lab.web, `mode: observe\n${SETTINGS}`)
  t.teardown(() => service.remove())
  mkdirSync(service.root)
  await service.launch()
  return { lab, service }
}

/** Runs a program. @returns whether it was answered @param cgroups undefined: without units */
async function succeeds({ web }: Topology, { unit, user, argv }: Call, cgroups?: Cgroups): Promise<boolean> {
  const whole = cgroups === undefined ? [...argv] : cgroups.command(unit, user, ...argv)
  const { stdout } = await web.run(whole, { allowFailure: true })
  const { status, answers } = JSON.parse(stdout) as { status?: number; answers?: number }
  return status === 200 || (answers ?? 0) > 0
}

async function rehearse(t: Test, cgroups: Cgroups | undefined): Promise<void> {
  const { lab, service } = await prepare(t)
  const passes = (call: Call) => succeeds(lab, call, cgroups)
  for (const call of WANTED) t.ok(await passes(call), `observed: ${call.argv.slice(4).join(' ')}`)
  if (cgroups !== undefined)
    for (const address of NEIGHBOURS.v4.slice(100, 115))
      await passes(get('php8.2-fpm.service', SHOP, `http://${address}:22/`))
  const logged = cgroups === undefined ? 4 : 19
  await eventually('all blocks are in the log', async () => service.log().length >= logged)

  const suggested = await service.command('suggest')
  t.equal(suggested.status, 0)
  t.match(suggested.stdout, new RegExp(`^ {4}(to: \\[|  - )${API}`, 'm'), 'the suggestion has the name')
  t.equal(suggested.stdout.includes('looks like a scan or a worm'), cgroups !== undefined)
  const candidate = candidateOf(service, suggested.stdout)

  const replayed = await service.command('replay', '--policy', candidate, '--json')
  t.equal(replayed.status, 0, replayed.stderr)
  const { blocks, blocked, passed } = JSON.parse(replayed.stdout)
  const sum = service.log().reduce((all, event) => all + (event['checkvalve.repeat'] as number), 0)
  t.equal(blocks, sum)
  t.equal(blocked.passesNow.kinds.length, 4)
  t.equal(blocked.blockedNow.kinds.length, logged - 4, 'no packet of the worm passes')
  t.ok(passed.passesNow.count > 0 && passed.blockedNow.count === 0, 'its queries to the resolver still pass')

  writeFileSync(join(service.folder, 'conf.d', 'suggested.yaml'), suggested.stdout)
  await service.reload(`mode: enforce\n${SETTINGS}`)
  for (const call of WANTED) t.ok(await passes(call), `enforced: ${call.argv.slice(4).join(' ')}`)
  const arrivals = await countArrivals(lab.victims, 'to-web')
  for (const call of [...UNWANTED, ...(cgroups === undefined ? [] : OTHERS)])
    t.notOk(await passes(call), `${call.unit} ${call.user} ${call.argv.slice(4).join(' ')}`)
  t.equal((await arrivals()).total, 0, 'none of these packets has arrived')
}

/** Writes another configuration, with the suggestion in its conf.d. @returns its path */
function candidateOf(service: Service, text: string): string {
  for (const folder of ['conf.d', 'new', 'new/conf.d']) mkdirSync(join(service.folder, folder))
  writeFileSync(join(service.folder, 'new/checkvalve.yaml'), `mode: enforce\n${SETTINGS}`)
  writeFileSync(join(service.folder, 'new/conf.d/suggested.yaml'), text)
  return join(service.folder, 'new/checkvalve.yaml')
}

t.test('a policy suggested from observed packets accepts what was observed, and nothing else', async (t) => {
  const cgroups = canSwitchUsers() ? Cgroups.create() : undefined
  if (cgroups === undefined) t.comment('left out: units and users of their own, which only root can make')
  try {
    for (const unit of ['shop', 'backup', 'php8.2-fpm']) cgroups?.add(`${unit}.service`)
    await rehearse(t, cgroups)
  } finally {
    cgroups?.remove()
  }
})
