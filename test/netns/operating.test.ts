/** Runs all commands of docs/operating.md, and compares their outputs with those in the document. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Cgroups } from '../lab/cgroup.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { createTopology, MIRROR, type Topology } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, LISTEN, NODE, PATIENCE_MS, segmentsRepeated } from './service.js'
import { stepsOf, withOutputs } from './transcript.js'

const DOCUMENT = fileURLToPath(new URL('../../../docs/operating.md', import.meta.url))
const MAIN = fileURLToPath(new URL('../../bin/checkvalve.js', import.meta.url))
const SHIM = `#!/bin/sh\nexec ${NODE.join(' ')} ${MAIN} "$@"\n`

const RECORDS = {
  'mirror.example.org': [MIRROR.v4],
  'api.example.org': ['203.0.113.20'],
  'control.example.net': ['203.0.113.66'],
}
const CONFIG = `mode: observe
containment: { destinations: 10 }
`

/** Makes a host with an installed service, and file systems of its own for all that the service writes. */
async function host(t: Test): Promise<{ lab: Topology; folder: string }> {
  const lab = await createTopology()
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-operating-'))
  t.teardown(async () => {
    await lab.close()
    rmSync(folder, { recursive: true })
  })
  writeFileSync(join(folder, 'checkvalve'), SHIM)
  chmodSync(join(folder, 'checkvalve'), 0o755)
  chmodSync(folder, 0o755)
  for (const path of ['/var/log', '/var/lib', '/etc/apt', '/root'])
    await lab.web.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'own', path])
  await lab.web.file('/etc/apt/sources.list', 'deb http://mirror.example.org/debian stable main\n')
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions timeout:1 attempts:5\n`)
  await lab.web.file('/etc/checkvalve/made', '')
  await lab.web.run(['sh', '-c', 'cat > /etc/ntp.conf'], { input: `server ${MIRROR.v4}\n` })
  await lab.web.run(['sh', '-c', 'cat > /etc/checkvalve/checkvalve.yaml'], { input: CONFIG })
  await Promise.all([serveDnsmasq(lab.mirror, { records: RECORDS, ttl: 300 }), serveHttp(lab.mirror, 80)])
  await Promise.all([serveHttp(lab.victims, 80), serveHttp(lab.victims, 443)])
  return { lab, folder }
}

/** Returns the events between the commands, by their names in the document. */
function eventsOf({ web }: Topology, cgroups: Cgroups, start: () => Promise<void>) {
  /** Runs a program of a unit. Its status does not matter: its packets may be blocked. */
  const as = (unit: string, user: string, ...argv: string[]) =>
    web.run(cgroups.command(unit, user, ...argv), { allowFailure: true })
  const curl = (url: string) => ['curl', '--silent', '--max-time', '60', '--output', '/dev/null', url]
  return {
    'the service is started': start,
    'an hour of work': async () => {
      for (let i = 0; i < 3; i++) await as('shop.service', 'www-data', ...curl('http://api.example.org:443/'))
      await as('backup.service', 'root', ...curl('http://203.0.113.30/'))
      await as('apt-daily.service', 'root', ...curl('http://mirror.example.org/'))
    },
    'a web shell is used': async () => {
      await as('php8.2-fpm.service', 'www-data', ...curl('http://control.example.net/'))
      for (let i = 0; i < 15; i++)
        await as('php8.2-fpm.service', 'www-data', ...curl(`http://203.0.113.${100 + i}:22/`))
    },
  } satisfies Record<string, () => Promise<unknown>>
}

/** Reloads the service as `systemctl reload` does: the script ends when the service has reloaded. */
const reload = (pid: number) => `
reloaded() { curl --silent ${LISTEN}/metrics | grep ^checkvalve_config_last_reload_success_timestamp; }
before=$(reloaded)
kill -HUP ${pid}
while [ "$(reloaded)" = "$before" ]; do sleep 0.1; done
`

/** Replaces what differs from run to run: times, ids, counts and versions. */
function settled(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\d/g, 'DATE')
    .replace(/\d\d:\d\d:\d\d(\.\d+)?Z?/g, 'TIME')
    .replace(/\(pid \d+\)/g, '(pid N)')
    .replace(/\b\d+( \d+)?(?= (s|min|h|KiB)\b)/g, 'N')
    .replace(/\b\d+ h \d+ min left/g, 'TIME left')
    .replace(/(approved|tracks|holds|accept resolver|would-block canary|UDP sockets) +\d+( +\d+)?/g, '$1 N')
    .replace(/Node \d+\.\d+\.\d+|iptables v[\d.]+/g, 'VERSION')
    .replace(/[ \t]+/g, ' ')
    .replace(/^(\S+ \d+) \d+ (for N (min N )?s|N (min N )?s ago)$/gm, '$1 RECENTLY')
}

t.test('each command of docs/operating.md prints the output that the document shows', async (t) => {
  const cgroups = canSwitchUsers() ? Cgroups.create() : undefined
  if (cgroups === undefined)
    return void t.comment('left out: units and users of its own, which only root can make')
  try {
    for (const unit of ['shop', 'backup', 'apt-daily', 'php8.2-fpm']) cgroups.add(`${unit}.service`)
    await replay(t, await performed(t, cgroups))
  } finally {
    cgroups.remove()
  }
})

/** Returns the outputs of the commands, of a run in which each verdict came within a second. */
async function performed(t: Test, cgroups: Cgroups): Promise<string[]> {
  for (const end = Date.now() + 5 * PATIENCE_MS; ; ) {
    const { outputs, repeated } = await perform(t, cgroups)
    if (repeated === 0 || Date.now() > end) return outputs
  }
}

async function perform(t: Test, cgroups: Cgroups): Promise<{ outputs: string[]; repeated: number }> {
  const { lab, folder } = await host(t)
  const env = { PATH: `${folder}:${process.env.PATH}`, COLUMNS: '80', TZ: 'UTC' }
  const start = async () => {
    const { pid } = lab.web.spawn(['checkvalve', 'run'], { env })
    writeFileSync(join(folder, 'systemctl'), `#!/bin/sh\n${reload(pid)}`)
    chmodSync(join(folder, 'systemctl'), 0o755)
    // The canary is sent a second after the start. Its packet must be in the first output on each machine.
    await eventually('the canary is judged', async () => {
      const metrics = await lab.web.run(['curl', '--silent', `${LISTEN}/metrics`], { allowFailure: true })
      return metrics.stdout.includes('reason="canary"')
    })
  }
  const events: Record<string, () => Promise<unknown>> = eventsOf(lab, cgroups, start)
  const outputs: string[] = []
  for (const step of stepsOf(readFileSync(DOCUMENT, 'utf8'))) {
    if (step.kind === 'event') {
      const happen = events[step.name]
      if (happen === undefined)
        throw new Error(`docs/operating.md:${step.line}: there is no event "${step.name}"`)
      await happen()
      continue
    }
    const { stdout, stderr } = await lab.web.run(['sh', '-c', step.command], { env, allowFailure: true })
    outputs.push(`${stdout}${stderr}`.replaceAll(/^.*checkvalvetest\d+\.slice.*$/gm, '').trimEnd())
  }
  const repeated = await segmentsRepeated(lab.web)
  await lab.close()
  return { outputs, repeated }
}

function replay(t: Test, outputs: readonly string[]): void {
  const document = readFileSync(DOCUMENT, 'utf8')
  const commands = stepsOf(document).filter((step) => step.kind === 'command')
  for (const [i, step] of commands.entries()) {
    const output = outputs[i]!
    if (!process.env.UPDATE_GOLDEN)
      t.equal(settled(output), settled(step.output), `docs/operating.md:${step.line}: ${step.command}`)
    t.ok(
      output.split('\n').every((line) => line.length <= 80),
      `docs/operating.md:${step.line} fits into 80 columns`,
    )
  }
  if (process.env.UPDATE_GOLDEN) writeFileSync(DOCUMENT, withOutputs(document, outputs))
}
