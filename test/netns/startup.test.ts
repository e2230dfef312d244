import t, { type Test } from 'tap'
import type { Result } from '../lab/command.js'
import { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { eventually, giveOwnRules, NODE, rulesOf, Service } from './service.js'

/** HIDE: hides a program from a namespace. Its folder is replaced by one with links to all other files. */
const HIDE = `set -e
file=$(command -v "$1")
folder=$(readlink -f "\${file%/*}")
mkdir -p /run/lab/before
mount --rbind "$folder" /run/lab/before
PATH=$PATH:/run/lab/before
mount -t tmpfs lab "$folder"
for entry in /run/lab/before/*; do
  [ "\${entry##*/}" = "$1" ] || ln -s "$entry" "$folder/"
done`

const WITHOUT_NET_ADMIN = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin']

/** Makes a namespace with a firewall of its own, and the files of a service that does not run yet. */
async function prepared(
  t: Test,
  settings = '',
): Promise<{ place: Namespace; service: Service; before: string }> {
  const place = await Namespace.create('web')
  const service = Service.prepare(place, `mode: enforce\n${settings}`)
  t.teardown(async () => {
    await place.close()
    await service.remove()
  })
  await place.file('/etc/resolv.conf', '')
  await giveOwnRules(place)
  return { place, service, before: await rulesOf(place) }
}

/** Asserts that a service has ended with status 1 and one line for the operator. */
function refuses(t: Test, { status, stdout, stderr }: Result, pattern: RegExp): void {
  t.equal(status, 1)
  t.equal(stdout, '')
  t.equal(stderr.trim().split('\n').length, 1, 'the service prints one line')
  t.match(stderr, pattern)
}

t.jobs = 2

t.test(
  'without CAP_NET_ADMIN the service names the privilege that it needs, and changes nothing',
  async (t) => {
    const { place, service, before } = await prepared(t)
    refuses(t, await service.fail(WITHOUT_NET_ADMIN), /^checkvalve: CAP_NET_ADMIN is needed.*run as root/)
    t.equal(await rulesOf(place), before)
  },
)

t.test('without nft or iptables the service names the package to install, and changes nothing', async (t) => {
  for (const [program, advice] of [
    ['iptables-restore', /^checkvalve: iptables-restore is not installed: install the package iptables/],
    ['nft', /^checkvalve: nft is not installed: install the package nftables/],
  ] as const) {
    const { place, service, before } = await prepared(t, 'firewall: { queue: xtables }\n')
    const list = async () => (await place.run(['/run/lab/before/nft', '-s', 'list', 'ruleset'])).stdout
    await place.run(['sh', '-c', HIDE, 'hide', program])
    refuses(t, await service.fail(), advice)
    t.equal(await list(), before)
  }
})

t.test('when another program has the queue, the service refuses to start and changes nothing', async (t) => {
  const { place, service } = await prepared(t)
  await service.launch()
  // The service looks for open sockets each second: its sets change, its rules do not.
  const rules = async () => (await rulesOf(place)).replace(/^\t\telements = \{[^}]*\}\n/gm, '')
  const before = await rules()
  const second = Service.prepare(place, 'mode: enforce\nmetrics: { listen: "127.0.0.1:17672" }\n')
  t.teardown(() => second.remove())
  refuses(t, await second.fail(), /^checkvalve: .*queue 100.*(another|taken|in use)/)
  t.equal(await rules(), before, 'the rules of the first service stay')
  t.equal((await service.http('/readyz')).status, 200)
})

t.test('when the port for metrics is taken, the service names the setting and changes nothing', async (t) => {
  const { place, service, before } = await prepared(t)
  const other = place.spawn([
    ...NODE,
    '-e',
    "require('net').createServer().listen(17671, '127.0.0.1', () => console.log('{}'))",
  ])
  await other.until(() => other.stdout || undefined)
  refuses(t, await service.fail(), /^checkvalve: metrics.*127\.0\.0\.1:17671.*metrics\.listen/)
  t.equal(await rulesOf(place), before)
})

t.test(
  'when the block log cannot be written, the service names the setting and changes nothing',
  async (t) => {
    const { place, service, before } = await prepared(t)
    const below = `${service.config}/blocks.json`
    refuses(
      t,
      await service.fail([], `log.destination=${below}`),
      /^checkvalve: the block log.*log\.destination/,
    )
    t.equal(await rulesOf(place), before)
  },
)

t.test(
  'on a mistake in the configuration the service names file, line and key, and changes nothing',
  async (t) => {
    const { place, service, before } = await prepared(t, 'block: perhaps\n')
    refuses(t, await service.fail(), /checkvalve\.yaml:2: block: /)
    t.equal(await rulesOf(place), before)
  },
)

t.test('a running service answers requests of monitoring, and refuses other paths and methods', async (t) => {
  const { service } = await prepared(t)
  await service.launch()
  t.match(await service.http('/healthz'), { status: 200, body: 'ok\n' })
  t.match(await service.http('/readyz'), { status: 200, body: 'ready\n' })
  t.match(await service.http('/'), { status: 200, headers: { 'content-type': /^text\/html/ } })
  t.match(await service.http('/metrics'), { status: 200, body: /^checkvalve_enforcing 1$/m })
  t.match(await service.http('/checkvalve.yaml'), { status: 404, body: /\/metrics/ })
  t.match(await service.http('/metrics', 'POST'), { status: 405, headers: { allow: 'GET, HEAD' } })
})

/** Starts a service, and waits until its first rule is loaded. The service is not ready yet. */
async function halfStarted(place: Namespace, service: Service): Promise<Program> {
  const program = service.begin()
  await eventually('its rules are loaded', async () => /queue|NFQUEUE/.test(await rulesOf(place)))
  return program
}

t.test('a service that gets SIGTERM while it starts leaves no rule behind', async (t) => {
  const { place, service, before } = await prepared(t)
  const program = await halfStarted(place, service)
  program.kill('SIGTERM')
  t.equal(await program.exited, 0)
  t.equal(await rulesOf(place), before)
})

t.test('a service that gets SIGHUP while it starts reloads its configuration after the start', async (t) => {
  const { place, service } = await prepared(t)
  const program = await halfStarted(place, service)
  service.configure('mode: observe\n')
  program.kill('SIGHUP')
  await program.until(() => program.stderr.includes('configuration taken: mode observe') || undefined)
  t.equal(await service.metric('enforcing'), 0)
})
