import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { run } from './command.js'
import { Program } from './program.js'
import { canSwitchUsers } from './users.js'
import { eventually } from './waiting.js'

const fileOf = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url))

/**
 * Returns the ids of the processes in a network namespace. Those of other users cannot be seen, and do not
 * count.
 */
function processesIn(identity: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      return readlinkSync(`/proc/${pid}/ns/net`) === identity
    } catch {
      return false
    }
  })
}

/** Returns whether a process runs. A zombie does not: it waits only for init to collect it. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z')
  } catch {
    return false
  }
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
  t.test(`no process of a namespace is left when the process that made it dies by ${signal}`, async (t) => {
    const maker = new Program('abandoned', spawn(process.execPath, [fileOf('programs/abandoned')]))
    const { identity, pids } = (await maker.result('pids')) as { identity: string; pids: number[] }
    t.equal(
      processesIn(identity).length,
      3,
      'the namespace has the holder, a program that ignores signals, and its child',
    )

    maker.kill(signal)
    t.ok(await maker.exited)
    await eventually('the processes of the namespace have ended', () => !pids.some(runs))
    t.notOk(pids.some(runs), 'the processes of the namespace have ended')
    t.same(processesIn(identity), [], 'no process is in the namespace')
  })
}

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
const OWN_NAMESPACES = ['unshare', '--user', '--map-root-user', '--net', '--mount']

/** Returns why the tests cannot be run as an ordinary user; undefined when they can. */
async function obstacle(): Promise<string | undefined> {
  if (!canSwitchUsers()) return 'it runs as one'
  const { status } = await run('host', [...NOBODY, 'test', '-r', fileOf('lab.test')], { allowFailure: true })
  if (status !== 0) return 'it may not read the tests where they are'
  const forbidden = await run('host', [...NOBODY, ...OWN_NAMESPACES, 'true'], { allowFailure: true })
  return forbidden.status === 0 ? undefined : `it may not have a namespace: ${forbidden.stderr.trim()}`
}

const why = await obstacle()
for (const name of ['clean-host', 'lab', 'namespace', 'traffic']) {
  t.test(`the tests of the lab pass for an ordinary user: ${name}`, { skip: why ?? false }, async (t) => {
    // Without NODE_OPTIONS, by which the test runner would write to files that this user may not write.
    const test = ['env', '-u', 'NODE_OPTIONS', process.execPath, fileOf(`${name}.test`)]
    const { status, stdout, stderr } = await run('host', [...NOBODY, ...OWN_NAMESPACES, ...test], {
      allowFailure: true,
      env: { HOME: '/tmp' },
    })
    t.equal(status, 0, 'all its tests pass', { output: stdout + stderr })
  })
}
