/** A service whose log goes to standard output writes it into a real journal. */
import { copyFileSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { run } from '../commands/running.js'
import type { Namespace } from '../lab/namespace.js'
import { createTopology, VICTIM } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { eventually, Service } from '../netns/service.js'

const JOURNALD = '/lib/systemd/systemd-journald'
/** Kernel messages and audit are those of the machine that runs the test. */
const CONFIG = '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=\n'
const QUIET = `infrastructure: { dns: [], ntp: [] }
mirrors: { discover: false }
canary: { interval: 1h }
containment: { destinations: 100000 }
`
/** How systemd runs the service, as far as the journal is concerned. */
const IDENTIFIER = 'checkvalve'

async function journal(t: Test): Promise<[Namespace, Service]> {
  const lab = await createTopology()
  const service = Service.prepare(lab.web, `mode: enforce\n${QUIET}`)
  t.teardown(async () => {
    await lab.close()
    await service.remove()
  })
  await lab.web.file('/etc/machine-id', '0123456789abcdef0123456789abcdef\n')
  await lab.web.file('/etc/systemd/journald.conf', CONFIG)
  const journald = lab.web.spawn([JOURNALD])
  await eventually('journald listens', async () => {
    if (!journald.running) throw new Error(`journald has ended: ${journald.stderr}`)
    return (
      (await lab.web.run(['test', '-S', '/run/systemd/journal/stdout'], { allowFailure: true })).status === 0
    )
  })
  service.through = ['systemd-cat', `--identifier=${IDENTIFIER}`]
  service.begin('log.destination=stdout')
  await eventually('the service is ready', async () =>
    (await journalOf(lab.web)).includes('mode enforce, queue'),
  )
  return [lab.web, service]
}

const journalOf = async (web: Namespace) =>
  (await web.run(['journalctl', '-t', IDENTIFIER, '-o', 'cat'])).stdout

/** Returns the command of docs/log.md that prints the blocks of the journal. */
function documentedCommand(): string {
  const text = readFileSync('docs/log.md', 'utf8')
  const command = /^(journalctl -u checkvalve .*)$/m.exec(text)?.[1]
  if (command === undefined) throw new Error('docs/log.md has no command for the journal')
  // A process that systemd has not started has no unit.
  return command.replace('-u checkvalve', `-t ${IDENTIFIER}`)
}

t.test(
  'the journal has each line of the log as it was written, and commands read it from there',
  async (t) => {
    const [web, service] = await journal(t)
    const sh = async (script: string) => (await web.run(['sh', '-c', script])).stdout
    const program = `${service.folder}/say "Grüße" \\ 🧀`
    copyFileSync('/bin/bash', program)
    await web.run([program, '-c', `exec 3<>/dev/tcp/${VICTIM.v4}/99`], { allowFailure: true })
    for (let port = 1000; port < 1020; port++) await connect(web, VICTIM.v4, port)

    const blocks = async () => (await sh(documentedCommand())).split('\n').filter(Boolean)
    await eventually('all blocks are in the journal', async () => (await blocks()).length >= 21)
    const lines = (await blocks()).map((line) => JSON.parse(line) as Record<string, unknown>)
    t.equal(lines.length, 21)
    t.same(
      lines.map((line) => line['destination.port']),
      [99, ...Array.from({ length: 20 }, (_, i) => 1000 + i)],
    )
    t.equal(lines[0]!['process.executable'], program)

    const text = await journalOf(web)
    t.match(text, /mode enforce, queue/, 'the messages of the service are there as well')
    const { stdout } = run(['tail', '--lines', '100', '-'], { input: text })
    t.equal(stdout.match(/not-allowlisted/g)?.length, 21)
  },
)
