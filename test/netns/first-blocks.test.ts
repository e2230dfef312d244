/** Tests what the first lines of the block log tell: of a start, of a user, and of a burst. */
import { readFileSync, realpathSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Cgroups } from '../lab/cgroup.js'
import { createTopology } from '../lab/topology.js'
import { canSwitchUsers } from '../lab/users.js'
import { eventually, NODE, Service } from './service.js'
import { runAs } from './unit-privileges.js'

const VICTIM = '203.0.113.77'
const SETTINGS = `mode: enforce
infrastructure: { dns: [192.0.2.53], ntp: [192.0.2.123] }
mirrors: { discover: false }
`
/** Blocks of a burst, and those of them that have a line of their own: docs/log.md. */
const BURST = 200
const LINES = 128

/** CALL HOST FIRST COUNT: opens connections to COUNT ports, which are refused, and waits for all refusals. */
const CALL = `const [host, first, count] = process.argv.slice(1)
let left = +count
const refused = () => { if (--left === 0) setTimeout(process.exit, 200) }
for (let i = 0; i < +count; i++) require('net').connect(+first + i, host).on('error', refused)`

/** Starts a service, and calls as www-data from web.service. Skips the test where cgroups cannot be made. */
async function calling(
  t: Test,
  given: { count: number; asUnit?: boolean },
  use: (service: Service) => Promise<void>,
) {
  const cgroups = canSwitchUsers() ? Cgroups.create() : undefined
  if (cgroups === undefined) return void t.comment('left out: cgroups, which only root can make')
  cgroups.add('web.service')
  const lab = await createTopology()
  const service = Service.prepare(lab.web, SETTINGS)
  try {
    if (given.asUnit) runAs(service, 'nobody')
    await service.launch()
    const argv = [...NODE, '-e', CALL, VICTIM, '1000', `${given.count}`]
    await lab.web.run(cgroups.command('web.service', 'www-data', ...argv))
    const lines = Math.min(given.count, LINES)
    await eventually('the blocks are logged', () => service.log().length >= lines)
    await use(service)
  } finally {
    await service.remove()
    await lab.close()
    cgroups.remove()
  }
}

t.test('the very first block after a start names its program', (t) =>
  calling(t, { count: 1 }, async (service) => {
    const [first] = service.log()
    t.match(first, {
      'user.name': 'www-data',
      'checkvalve.unit': 'web.service',
      'process.pid': Number,
      'process.executable': realpathSync(process.execPath),
      'checkvalve.process': undefined,
    })
  }),
)

t.test('each line of a burst has the unit, and says why it has no process; the sum names the unit', (t) =>
  calling(t, { count: BURST }, async (service) => {
    await eventually('all are judged', async () => (await service.blocks()) >= BURST)
    await service.stop()
    const log = service.log()
    const firsts = log.filter(({ message }) => !`${message}`.includes('more time'))
    t.ok(firsts.length >= LINES, 'the longer the burst takes, the more lines there are')
    t.same(new Set(firsts.map((each) => each['checkvalve.unit'])), new Set(['web.service']))
    for (const each of firsts)
      t.ok(
        each['process.pid'] !== undefined || each['checkvalve.process'] === 'skipped',
        'process, or why not',
      )
    const [sum] = log.filter((each) => each['event.reason'] === 'suppressed')
    t.match(sum, { 'checkvalve.units': ['web.service'], message: /most of them by web\.service, too many/ })
  }),
)

t.test('with the privileges of the shipped unit, a block names the programs that may have sent it', (t) =>
  calling(t, { count: 1, asUnit: true }, async (service) => {
    const [first] = service.log()
    const name = readFileSync('/proc/self/comm', 'utf8').trim()
    t.match(first, {
      'checkvalve.unit': 'web.service',
      'checkvalve.process': 'not-permitted',
      'checkvalve.candidates': [name],
      'process.pid': undefined,
      'process.executable': undefined,
    })
    t.ok(String(first!.message).startsWith(`blocked www-data (perhaps ${name} in web.service) -> `))
  }),
)
