import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ControlServer } from '../../src/control/server.js'
import type { ServiceLog } from '../../src/system/service-log.js'
import type { Status } from '../../src/telemetry/status.js'
import { STATUS } from './samples.js'

const MAIN = fileURLToPath(new URL('../../bin/checkvalve.js', import.meta.url))
const ENTER = '\x1b[?1049h'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'

/** Starts a service with a given status, and the command that watches it. */
async function watching(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-watch-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'control.sock')
  const config = join(folder, 'checkvalve.yaml')
  writeFileSync(config, `mode: observe\ncontrol: { socket: ${path} }\n`)
  const state: { status: Status; server?: ControlServer } = { status: STATUS }
  const serve = async () => {
    const routes = [{ method: 'GET', path: '/v1/status', handle: () => state.status }] as const
    const log = { error: (_: object, text: string) => void t.fail(text) } as Pick<ServiceLog, 'error'>
    state.server = await ControlServer.listen({ path, routes, log })
  }
  t.teardown(() => state.server?.close())
  await serve()
  const command = [
    'env',
    '-u',
    'NODE_OPTIONS',
    'TERM=xterm',
    process.execPath,
    MAIN,
    'status',
    '--watch',
    '--config',
    config,
  ]
  return { state, serve, command }
}

/** Collects the output of a program; `seen` settles when there is new output since the last call. */
function listen(t: Test, child: ChildProcess) {
  let text = ''
  let from = 0
  let wake = () => {}
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    wake()
  })
  t.teardown(() => child.kill('SIGKILL'))
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const seen = async (what: string) => {
    for (let at = -1; at < 0; ) {
      at = text.indexOf(what, from)
      if (at >= 0) from = at + what.length
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  return { seen, exited, text: () => text }
}

t.jobs = 2

t.test(
  'on a terminal the status is redrawn in place, also without the service, and restored at the end',
  async (t) => {
    const { state, serve, command } = await watching(t)
    // script(1) gives the command a terminal. The shell is interrupted as well: it continues, and prints the
    // exit status.
    const inTerminal = `trap : INT; ${command.join(' ')}; echo status $?`
    const child = spawn('script', ['-qc', inTerminal, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const { seen, exited, text } = listen(t, child)
    await seen(ENTER)
    // Nothing is erased behind the end of a line, which may be as wide as the terminal.
    await seen('\x1b[H\x1b[Kcheckvalve  1.2.3')
    await seen('12,345')
    state.status = { ...STATUS, verdicts: [{ ...STATUS.verdicts[2]!, total: 54_321 }] }
    await seen('\x1b[H')
    await seen('54,321')
    state.server!.close()
    await seen('the service does not run here')
    await seen('Trying again every two seconds')
    await serve()
    await seen('54,321')
    child.stdin!.write('\x03')
    await exited
    t.ok(text().trimEnd().endsWith(`${LEAVE}status 0`), JSON.stringify(text().slice(-60)))
    t.equal(text().split(ENTER).length, 2, 'the alternate screen is entered once')
  },
)

t.test(
  'for programs each status is one line of JSON, and the command ends when its reader has gone',
  async (t) => {
    const { state, command } = await watching(t)
    const [file = '', ...args] = [...command, '--json']
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const { seen, exited, text } = listen(t, child)
    await seen('\n')
    t.same(JSON.parse(text().split('\n')[0]!), STATUS)
    state.server!.close()
    await seen('{"error":"the service does not run here')
    child.stdout!.destroy()
    t.equal(await exited, 0)
  },
)
