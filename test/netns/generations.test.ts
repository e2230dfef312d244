import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Program } from '../lab/program.js'
import { createTopology, VICTIM } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { eventually, NODE, Service } from './service.js'

const PORT = 7000
const ALLOW = `allow: [{ name: api, to: [${VICTIM.v4}, "${VICTIM.v6}"], ports: [${PORT}] }]\n`
/** Returns a policy with `less` mirrors fewer than at first. */
const policy = (less: number, allow = '') => {
  const mirrors = Array.from({ length: 20 - less }, (_, i) => `192.0.2.${i + 1}`)
  return `mode: enforce\n${allow}mirrors: { hosts: [${mirrors}] }\n`
}

/** LISTEN: prints what it receives. */
const LISTEN = `require('net').createServer((socket) => {
  socket.on('data', (data) => process.stdout.write(data))
  socket.on('error', ({ code }) => console.log(code))
}).listen(${PORT}, () => console.log('listening'))`
/** TALK HOST [EVERY]: sends a line when it is connected, at each SIGUSR1, and every EVERY milliseconds; prints its error. */
const TALK = `const [host, every] = process.argv.slice(1)
const socket = require('net').connect({ host, port: ${PORT}, noDelay: true }, () => socket.write('hello\\n'))
socket.on('error', ({ code }) => { console.log(code); process.exit() })
const more = () => socket.write('more\\n')
process.on('SIGUSR1', more)
setInterval(more, +(every ?? 1e6))`

const blocks = (service: Service) => service.metric('packets_total', 'verdict="block"', 'not-allowlisted')

/** Makes the program send a line, and waits until it was blocked and the connection has ended. */
async function talkInVain(service: Service, talker: Program): Promise<void> {
  const before = await blocks(service)
  talker.kill('SIGUSR1')
  await eventually('a packet is blocked', async () => (await blocks(service)) > before)
  await talker.exited
}

t.jobs = 3

t.test(
  'a connection that a reload no longer allows ends at both ends, and nothing more arrives',
  async (t) => {
    await using lab = await createTopology()
    const heard = lab.victims.spawn([...NODE, '-e', LISTEN])
    await heard.until(() => heard.stdout.includes('listening') || undefined)
    const service = await Service.start(lab.web, policy(0, ALLOW))
    t.teardown(() => service.remove())
    for (const host of [VICTIM.v4, VICTIM.v6]) {
      await service.reload(policy(0, ALLOW))
      const talker = lab.web.spawn([...NODE, '-e', TALK, host, '100'])
      const before = heard.stdout.length
      const heardNow = () => heard.stdout.slice(before)
      await eventually('the program is connected', () => heardNow().includes('more'))
      await service.reload(policy(0))
      await talker.exited
      t.equal(talker.stdout, 'ECONNABORTED\n', 'the program sees the end at once')
      await eventually('so does the other end', () => heardNow().includes('ECONNRESET'))
      t.match(heardNow(), /^(hello\n|more\n)+ECONNRESET\n$/, 'nothing more arrives')
      t.equal((await connect(lab.web, host, PORT)).outcome, 'ECONNREFUSED', 'a new connection is refused')
    }
  },
)

t.test(
  'a connection that sent nothing stays blocked when the number of its generation is used again',
  async (t) => {
    await using lab = await createTopology()
    const heard = lab.victims.spawn([...NODE, '-e', LISTEN])
    await heard.until(() => heard.stdout.includes('listening') || undefined)
    const service = await Service.start(lab.web, policy(0, ALLOW))
    t.teardown(() => service.remove())
    const talker = lab.web.spawn([...NODE, '-e', TALK, VICTIM.v4])
    await eventually('the program is connected', async () => heard.stdout.includes('hello'))
    for (let less = 0; less < 15; less++) await service.reload(policy(less))
    await talkInVain(service, talker)
    t.notMatch(heard.stdout, 'more')
  },
)

t.test('a connection stays blocked when a start uses the number of its generation again', async (t) => {
  await using lab = await createTopology()
  const heard = lab.victims.spawn([...NODE, '-e', LISTEN])
  await heard.until(() => heard.stdout.includes('listening') || undefined)
  const service = await Service.start(lab.web, policy(0, ALLOW))
  t.teardown(() => service.remove())
  const talker = lab.web.spawn([...NODE, '-e', TALK, VICTIM.v4])
  await eventually('the program is connected', async () => heard.stdout.includes('hello'))
  await service.kill()
  const kept = join(service.folder, 'state', 'generation')
  const approvedBy = Number(readFileSync(kept, 'utf8'))
  writeFileSync(kept, `${approvedBy === 1 ? 15 : approvedBy - 1}`)
  service.configure(policy(0))
  await service.launch()
  t.equal(Number(readFileSync(kept, 'utf8')), approvedBy)
  await talkInVain(service, talker)
  t.notMatch(heard.stdout, 'more')
})
