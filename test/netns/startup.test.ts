import t, { type Test } from 'tap'
import type { Result } from '../lab/command.js'
import { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { eventually, giveOwnRules, NODE, rulesOf, Service } from './service.js'

/** Takes a program out of a namespace's file system: its folder becomes one of links to all the others. */
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

/** A namespace with a firewall of its own, and the files of a service that does not run yet. */
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

/** One line for the operator, and status 1. */
function refuses(t: Test, { status, stdout, stderr }: Result, pattern: RegExp): void {
  t.equal(status, 1)
  t.equal(stdout, '')
  t.equal(stderr.trim().split('\n').length, 1, 'it says one line')
  t.match(stderr, pattern)
}

t.jobs = 2

t.test('without the privilege it says which one is needed, and changes nothing', async (t) => {
  const { place, service, before } = await prepared(t)
  refuses(t, await service.fail(WITHOUT_NET_ADMIN), /^checkvalve: CAP_NET_ADMIN is needed.*run as root/)
  t.equal(await rulesOf(place), before)
})

t.test('without nft or iptables it says which package to install, and changes nothing', async (t) => {
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

t.test('a queue that another program has is not taken over, and nothing is changed', async (t) => {
  const { place, service } = await prepared(t)
  await service.launch()
  const before = await rulesOf(place)
  const second = Service.prepare(place, 'mode: enforce\nmetrics: { listen: "127.0.0.1:17672" }\n')
  t.teardown(() => second.remove())
  refuses(t, await second.fail(), /^checkvalve: .*queue 100.*(another|taken|in use)/)
  t.equal(await rulesOf(place), before, 'the rules of the first one stay')
  t.equal((await service.http('/readyz')).status, 200)
})

t.test('a taken port for metrics is told with the setting to change, and nothing is changed', async (t) => {
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
  'a block log that cannot be written is told with the setting to change, and nothing is changed',
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
  'a mistake in the configuration is told with file, line and key, and nothing is changed',
  async (t) => {
    const { place, service, before } = await prepared(t, 'block: perhaps\n')
    refuses(t, await service.fail(), /checkvalve\.yaml:2: block: /)
    t.equal(await rulesOf(place), before)
  },
)

t.test('a service that runs answers monitoring, and refuses all else', async (t) => {
  const { service } = await prepared(t)
  await service.launch()
  t.match(await service.http('/healthz'), { status: 200, body: 'ok\n' })
  t.match(await service.http('/readyz'), { status: 200, body: 'ready\n' })
  t.match(await service.http('/'), { status: 200, headers: { 'content-type': /^text\/html/ } })
  t.match(await service.http('/metrics'), { status: 200, body: /^checkvalve_enforcing 1$/m })
  t.match(await service.http('/checkvalve.yaml'), { status: 404, body: /\/metrics/ })
  t.match(await service.http('/metrics', 'POST'), { status: 405, headers: { allow: 'GET, HEAD' } })
})

/** Starts a service, and waits until the first of its rules stands: it is not ready yet. */
async function halfStarted(place: Namespace, service: Service): Promise<Program> {
  const program = service.begin()
  await eventually('its rules appear', async () => /queue|NFQUEUE/.test(await rulesOf(place)))
  return program
}

t.test('SIGTERM while it starts leaves no rule behind', async (t) => {
  const { place, service, before } = await prepared(t)
  const program = await halfStarted(place, service)
  program.kill('SIGTERM')
  t.equal(await program.exited, 0)
  t.equal(await rulesOf(place), before)
})

t.test('SIGHUP while it starts is heard when it has started', async (t) => {
  const { place, service } = await prepared(t)
  const program = await halfStarted(place, service)
  service.configure('mode: observe\n')
  program.kill('SIGHUP')
  await program.until(() => program.stderr.includes('configuration taken: mode observe') || undefined)
  t.equal(await service.metric('enforcing'), 0)
})
