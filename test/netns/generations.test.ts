import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createTopology, VICTIM } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { eventually, NODE, Service } from './service.js'

const PORT = 7000
const ALLOW = `allow: [{ name: api, to: [${VICTIM.v4}], ports: [${PORT}] }]\n`
/** Returns a policy with `less` mirrors fewer than at first. */
const policy = (less: number, allow = '') => {
  const mirrors = Array.from({ length: 20 - less }, (_, i) => `192.0.2.${i + 1}`)
  return `mode: enforce\n${allow}mirrors: { hosts: [${mirrors}] }\n`
}

/** LISTEN: prints what it receives. */
const LISTEN = `require('net').createServer((socket) => {
  socket.on('data', (data) => process.stdout.write(data))
  socket.on('error', () => {})
}).listen(${PORT}, () => console.log('listening'))`
/** TALK [EVERY]: sends a line when it is connected, at each SIGUSR1, and every EVERY milliseconds. */
const TALK = `const socket = require('net').connect({ host: '${VICTIM.v4}', port: ${PORT}, noDelay: true }, () => socket.write('hello\\n'))
socket.on('error', () => {})
const more = () => socket.write('more\\n')
process.on('SIGUSR1', more)
if (process.argv[1]) setInterval(more, +process.argv[1])`

const blocks = (service: Service) => service.metric('packets_total', 'verdict="block"', 'not-allowlisted')

/** Waits until `times` more packets of a connection were blocked. */
async function waitForBlocks(service: Service, times = 1): Promise<void> {
  const before = await blocks(service)
  await eventually('packets are blocked', async () => (await blocks(service)) >= before + times)
}

t.jobs = 3

for (const [what, ...every] of [['was cut off', '100'], ['sent nothing']] as const)
  t.test(
    `a connection that ${what} stays blocked when the number of its generation is used again`,
    async (t) => {
      await using lab = await createTopology()
      const heard = lab.victims.spawn([...NODE, '-e', LISTEN])
      await heard.until(() => heard.stdout.includes('listening') || undefined)
      const service = await Service.start(lab.web, policy(0, ALLOW))
      t.teardown(() => service.remove())
      const talker = lab.web.spawn([...NODE, '-e', TALK, ...every])
      await eventually('the program is connected', async () => heard.stdout.includes('hello'))
      for (let less = 0; less < 15; less++) {
        await service.reload(policy(less))
        if (less === 0 && every.length > 0) await waitForBlocks(service)
      }
      const before = heard.stdout.length
      const tried = waitForBlocks(service)
      talker.kill('SIGUSR1')
      await tried
      t.equal(heard.stdout.length, before, 'nothing more has arrived')
      t.equal(
        (await connect(lab.web, VICTIM.v4, PORT)).outcome,
        'EHOSTUNREACH',
        'a new connection is refused',
      )
    },
  )

t.test('a connection stays blocked when a start uses the number of its generation again', async (t) => {
  await using lab = await createTopology()
  const heard = lab.victims.spawn([...NODE, '-e', LISTEN])
  await heard.until(() => heard.stdout.includes('listening') || undefined)
  const service = await Service.start(lab.web, policy(0, ALLOW))
  t.teardown(() => service.remove())
  const talker = lab.web.spawn([...NODE, '-e', TALK])
  await eventually('the program is connected', async () => heard.stdout.includes('hello'))
  await service.kill()
  const kept = join(service.folder, 'state', 'generation')
  const approvedBy = Number(readFileSync(kept, 'utf8'))
  writeFileSync(kept, `${approvedBy === 1 ? 15 : approvedBy - 1}`)
  service.configure(policy(0))
  await service.launch()
  t.equal(Number(readFileSync(kept, 'utf8')), approvedBy)
  const tried = waitForBlocks(service)
  talker.kill('SIGUSR1')
  await tried
  t.notMatch(heard.stdout, 'more')
})
