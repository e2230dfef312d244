import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { programNames, searchHolder } from '../../../src/kernel/proc/processes.js'
import { canSwitchUsers } from '../../lab/users.js'
import { PATIENCE_MS } from '../../lab/waiting.js'

const never = () => false
const MODULE = fileURLToPath(new URL('../../../src/kernel/proc/processes.js', import.meta.url))

t.test('a search for a process says why it has found none', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((each) => each.includes(`:${hex} 00000000:0000`))
  const inodes = new Set([Number(line!.trim().split(/\s+/)[9])])
  t.match(searchHolder(inodes, [process.pid], never), { pid: process.pid })
  t.equal(searchHolder(new Set([1]), [process.pid], never), 'none')
  t.equal(searchHolder(inodes, [2 ** 30], never), 'none', 'a process that has ended')
  t.equal(
    searchHolder(new Set([1]), [process.pid], () => true),
    'late',
  )
})

t.test(
  'descriptors that may not be read are told apart',
  { skip: !canSwitchUsers() && 'needs users' },
  async (t) => {
    const script = `
    import { searchHolder, programNames } from ${JSON.stringify(MODULE)}
    const pid = +process.argv[1]
    console.log(JSON.stringify([
      searchHolder(new Set([1]), [pid], () => false), programNames([pid], 0, 3, () => false),
    ]))`
    const { NODE_OPTIONS: _, ...env } = process.env
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', script, `${process.pid}`],
      { uid: 65534, gid: 65534, env, encoding: 'utf8', timeout: PATIENCE_MS },
    )
    const name = readFileSync('/proc/self/comm', 'utf8').trim()
    t.same(stdout === '' ? stderr : JSON.parse(stdout), ['denied', [name]])
  },
)

t.test('names of programs are those of the user, each once, and not more than wanted', async (t) => {
  const name = readFileSync('/proc/self/comm', 'utf8').trim()
  const uid = process.getuid!()
  t.same(programNames([process.pid, process.pid], uid, 3, never), [name])
  t.same(programNames([process.pid], uid + 1, 3, never), [])
  t.same(programNames([process.pid], uid, 0, never), [])
  t.same(
    programNames([process.pid], uid, 3, () => true),
    [],
  )
})
