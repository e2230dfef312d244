/** Brings a fleet of three hosts from nothing to mode enforce, and back, as docs/fleet.md does. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Status } from '../../src/telemetry/status.js'
import type { Result } from '../lab/command.js'
import { eventually } from '../lab/waiting.js'
import { canInstall, LEFT_OUT } from '../packages/installed-host.js'
import { API, Fleet, type FleetHost } from './fleet.js'

const NAMES = ['web1', 'web2', 'web3'] as const
/** All hosts at once, without a pause: for runs that are not about waves. */
const AT_ONCE = ['-e', '{"checkvalve_waves": ["all"], "checkvalve_soak_minutes": 0}']
const WAVES = ['-e', 'checkvalve_soak_minutes=0', '-e', 'checkvalve_proof_retries=5']

/** Returns the numbers of the recap, by host. */
function recapOf(stdout: string): Record<string, { changed: number; failed: number }> {
  const lines = stdout.matchAll(/^(\S+) +: ok=\d+ +changed=(\d+) .*failed=(\d+) /gm)
  return Object.fromEntries(
    [...lines].map(([, host, changed, failed]) => [
      host!,
      { changed: Number(changed), failed: Number(failed) },
    ]),
  )
}

const UNCHANGED = { changed: 0, failed: 0 }

/** Asserts that a run succeeded. */
function succeeds(t: Test, what: string, { stdout, stderr, status }: Result): void {
  t.equal(status, 0, what)
  if (status !== 0) t.comment(stdout + stderr)
}

/** Asserts that a run succeeded and changed nothing. */
function changesNothing(t: Test, what: string, result: Result): void {
  succeeds(t, what, result)
  t.same(recapOf(result.stdout), Object.fromEntries(NAMES.map((name) => [name, UNCHANGED])), what)
}

async function statusOf({ files, network }: FleetHost): Promise<Status> {
  const { stdout } = await network.run(['chroot', files.root, 'checkvalve', 'status', '--json'])
  return JSON.parse(stdout) as Status
}

const modesOf = (fleet: Fleet) => Promise.all(fleet.hosts.map(async (host) => (await statusOf(host)).mode))

/** Lets the shop of a host call a service. */
const call = ({ files, network }: FleetHost, url: string) =>
  network.run(['chroot', files.root, 'setpriv', '--reuid=33', '--clear-groups', ...CURL, url], {
    allowFailure: true,
  })

const CURL = ['curl', '--silent', '--max-time', '20', '--output', '/dev/null']

/** Returns the files of a host, without what other programs write: apt, logs, copies of passwd(5). */
async function filesOf({ files }: FleetHost): Promise<string[]> {
  const ofOthers =
    /root\/var\/(lib\/apt|cache\/apt|log)\/|root\/run\/|root\/etc\/(\.pwd\.lock|(passwd|group|shadow|gshadow)-)/
  return [...(await files.files())].filter((path) => !ofOthers.test(path)).sort()
}

t.test('a fleet goes from nothing to enforce in waves, and back', async (t) => {
  if (!canInstall()) return void t.comment(LEFT_OUT)
  const fleet = await Fleet.create(t, NAMES)
  const [web1, web2, web3] = NAMES.map((name) => fleet.host(name)) as [FleetHost, FleetHost, FleetHost]
  const filesOfAll = () => Promise.all(fleet.hosts.map(filesOf))
  const before = await filesOfAll()
  rmSync(join(fleet.inventory, 'policy/shop.yaml'))

  await t.test('a check of hosts without checkvalve changes nothing', async (t) => {
    const checked = await fleet.play('site.yml', '--check', '--diff', ...AT_ONCE)
    succeeds(t, 'site.yml --check', checked)
    t.match(checked.stdout, '+deb [signed-by=/usr/share/keyrings/checkvalve.gpg]')
    t.same(await filesOfAll(), before)
  })

  await t.test('all hosts get package and policy, in mode observe', async (t) => {
    // A setting that is read at start only, as the policy of a fleet has it.
    fleet.policy('web1.yaml.j2', 'metrics: { listen: "{{ ansible_host }}:17671" }\n')
    fleet.policy('web3.yaml', HOSTILE)
    succeeds(t, 'site.yml', await fleet.play('site.yml', ...AT_ONCE))
    t.same(await modesOf(fleet), ['observe', 'observe', 'observe'])
    t.equal(web3.files.read('/etc/checkvalve/conf.d/fleet-host-web3.yaml'), HOSTILE, 'it is no template')
    t.notOk(existsSync('/mnt/tmp/harm'))
    const metrics = await fleet.centre.run(['curl', '--silent', 'http://198.18.1.1:17671/metrics'])
    t.match(metrics.stdout, 'checkvalve_enforcing 0', 'the service was restarted for its new address')
  })

  await t.test('what the logs suggest says on how many hosts it is needed', async (t) => {
    for (const host of [web1, web2]) await call(host, 'http://api.example.org:443/')
    await call(web3, `http://${API}:8443/`)
    const program = ['-e', 'checkvalve_program=/mnt/checkvalve/dist/bin/checkvalve.js']
    succeeds(t, 'suggest.yml', await fleet.play('suggest.yml', ...program))
    const suggested = readFileSync(join(fleet.inventory, 'suggestions/allow.yaml'), 'utf8')
    t.match(
      suggested,
      / on 2 of 3 hosts: web1, web2,.*\n(?: {2}#.*\n)* {2}- name: www-data-api\.example\.org\n/,
    )
    fleet.policy('shop.yaml', suggested.replace(/\n {2}# 1 block on 1 of 3 hosts: web3[\s\S]*$/, ''))
  })

  await t.test('bad variables and bad policies are refused, and the host stays as it was', async (t) => {
    const [status, files] = [await statusOf(web1), await filesOf(web1)]
    const good = fleet.readPolicy('shop.yaml')
    fleet.policy('shop.yaml', `${good}onstop: keep\n`)
    const [mode, run, check] = await Promise.all([
      fleet.play('enforce.yml', '--limit', 'web3', '-e', 'checkvalve_mode=enforced'),
      fleet.play('site.yml', '--limit', 'web1', ...AT_ONCE),
      fleet.play('site.yml', '--limit', 'web2', '--check', ...AT_ONCE),
    ])
    for (const { status } of [mode, run, check]) t.not(status, 0)
    t.match(mode.stdout, 'value of checkvalve_mode must be one of: keep, observe, enforce, got: enforced')
    for (const { stdout } of [run, check])
      t.match(stdout, /fleet-group-shop\.yaml:\d+: onstop: unknown key \(did you mean onStop\?\)/)
    t.match(
      await statusOf(web1),
      { started: status.started, reload: status.reload },
      'the service is as before',
    )
    t.same(await filesOf(web1), files)
    t.notOk(web1.files.has('/etc/checkvalve/conf.d/fleet-group-shop.yaml'))

    fleet.policy('shop.yaml', good)
    fleet.policy('shopp.yaml', good)
    const nobodys = await fleet.play('site.yml', '--limit', 'web1', ...AT_ONCE)
    t.match(nobodys.stdout, /No group and no host of the inventory has the name of these files in .*: shopp/)
    rmSync(join(fleet.inventory, 'policy/shopp.yaml'))
  })

  await t.test('the wave whose gate fails goes back to observe, and ends the run', async (t) => {
    await web2.network.run(['nft', '-f', '-'], { input: CANARY_LOST })
    const { stdout, status } = await fleet.play('enforce.yml', ...WAVES)
    t.not(status, 0)
    t.same(await modesOf(fleet), ['enforce', 'observe', 'observe'])
    t.match(stdout, /web2.*configuration is in force and proven.*mode enforce.*'ipv4': 'no'/)
    t.notMatch(stdout, 'web3', 'the next wave is not begun')
    t.notOk(web2.files.has('/etc/checkvalve/conf.d/fleet-mode.yaml'))
    t.match(await statusOf(web1), { mode: 'enforce', proven: true })
    await web2.network.run(['nft', 'delete', 'table', 'inet', 'other'])
  })

  await t.test('a host stays in observe while its log has what the policy would block', async (t) => {
    const { stdout, status } = await fleet.play('enforce.yml', '--limit', 'web3', ...WAVES)
    t.not(status, 0)
    t.same(await modesOf(fleet), ['enforce', 'observe', 'observe'])
    t.match(stdout, `which the policy would block: www-data to ${API} port 8443 (1)`)
    const again = await fleet.play('enforce.yml', '-e', 'checkvalve_blocks_at_most=1', ...WAVES)
    succeeds(t, 'enforce.yml', again)
    t.match(recapOf(again.stdout), { web1: UNCHANGED, web2: { failed: 0 }, web3: { failed: 0 } })
    t.same(await modesOf(fleet), ['enforce', 'enforce', 'enforce'])
    const { stdout: lines } = await fleet.play('report.yml')
    for (const name of NAMES) t.match(lines, new RegExp(`"${name} +\\S+ +enforce +yes +\\d+`))
  })

  await t.test(
    'a policy under which something new is blocked is taken back, and the mode stays',
    async (t) => {
      const before = await statusOf(web1)
      const good = fleet.readPolicy('web1.yaml.j2')
      fleet.policy('web1.yaml.j2', `${good}allow: [{ name: other, to: [198.51.100.9] }]\n`)
      const playing = fleet.play('site.yml', '--limit', 'web1', '-e', 'checkvalve_soak_minutes=0.3')
      await eventually('the policy is in force', async () => {
        return (await statusOf(web1)).reload.takenAt !== before.reload.takenAt
      })
      await call(web1, `http://${API}:8446/`)
      const { stdout, status } = await playing
      t.not(status, 0)
      t.match(
        stdout,
        'These packets were blocked since the change: www-data to api.example.org port 8446 (1)',
      )
      t.notMatch(web1.files.read('/etc/checkvalve/conf.d/fleet-host-web1.yaml'), 'other')
      t.match(await statusOf(web1), { mode: 'enforce', reload: { problems: [] } })
      fleet.policy('web1.yaml.j2', good)
    },
  )

  await t.test('a second run changes nothing, and the mode stays', async (t) => {
    const [run, check] = await Promise.all([
      fleet.play('site.yml', ...AT_ONCE),
      fleet.play('site.yml', '--check', '--diff', ...AT_ONCE),
    ])
    changesNothing(t, 'site.yml', run)
    changesNothing(t, 'site.yml --check', check)
    t.same(await modesOf(fleet), ['enforce', 'enforce', 'enforce'])
  })

  await t.test('a removal leaves nothing', async (t) => {
    succeeds(t, 'site.yml', await fleet.play('site.yml', '-e', 'checkvalve_state=absent', ...AT_ONCE))
    t.same(await filesOfAll(), before)
  })
})

/** A policy with the name of a program that somebody on a host has chosen: `suggest` writes such names into comments. */
const HOSTILE = `# 1 block, by /tmp/{{ lookup('ansible.builtin.pipe', 'touch /mnt/tmp/harm') }}.
allow: []
`

/** Drops the canary before the service sees it, as another firewall might. */
const CANARY_LOST = `table inet other {
  chain output { type filter hook output priority -300; ip daddr 192.0.2.1 drop; }
}
`
