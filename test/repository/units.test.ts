/** Tests what the systemd units do at a stop, without systemd: a restart and a shutdown must not open the host. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Systemd } from '../../src/system/systemd.js'

const unit = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../../systemd/${name}`, import.meta.url)), 'utf8')

/** Returns the shell command of a line `KEY=+/bin/sh -c '...'`, as systemd passes it on. */
function shellOf(text: string, key: string): string {
  const command = new RegExp(`^${key}=\\+?/bin/sh -c '(.*)'$`, 'm').exec(text)?.[1]
  if (command === undefined) throw new Error(`no ${key}`)
  return command.replaceAll('$$', '$')
}

/** Runs the command of `ExecStop=`, and asks the service whether it keeps its rules. */
function stop(t: Test, state: string, jobs: string): boolean {
  const folder = t.testdir({ bin: {}, run: {} })
  const systemctl = join(folder, 'bin', 'systemctl')
  writeFileSync(
    systemctl,
    `#!/bin/sh\ncase "$*" in *is-system-running*) echo ${state};; *list-jobs*) echo "${jobs}";; esac\n`,
    { mode: 0o755 },
  )
  const runtime = join(folder, 'run')
  const command = shellOf(unit('checkvalve.service'), 'ExecStop').replaceAll('/run/checkvalve', runtime)
  execFileSync('/bin/sh', ['-c', command], { env: { PATH: `${folder}/bin:${process.env.PATH}` } })
  return new Systemd({ RUNTIME_DIRECTORY: runtime }, { warn: (line: string) => t.fail(line) }).keepsRules(
    false,
  )
}

t.test('the rules stay at a restart and at a shutdown; a stop does what onStop says', async (t) => {
  const job = (type: string) => `  1234 checkvalve.service ${type} running`
  t.equal(stop(t, 'running', job('restart')), true, 'systemctl restart')
  t.equal(stop(t, 'degraded', job('restart')), true, 'the same with failed units')
  t.equal(stop(t, 'stopping', job('stop')), true, 'shutdown')
  t.equal(stop(t, 'running', job('stop')), false, 'systemctl stop')
  t.equal(stop(t, 'starting', job('stop')), false, 'systemctl stop during the boot')
  t.equal(new Systemd({}, { warn: () => {} }).keepsRules(true), false, 'without systemd')
})

t.test('the rules of the last run are loaded at boot, unless newer ones are there', async (t) => {
  const text = unit('checkvalve-rules.service')
  const file = /^ConditionFileNotEmpty=(.*)$/m.exec(text)![1]!
  const command = shellOf(text, 'ExecStart')
  t.ok(command.includes(`nft -f ${file}`))
  for (const isLoaded of [false, true]) {
    const folder = t.testdir({ bin: {} })
    mkdirSync(join(folder, 'bin'), { recursive: true })
    const nft = `#!/bin/sh\ncase "$1" in list) exit ${isLoaded ? 0 : 1};; -f) : > ${folder}/loaded;; esac\n`
    writeFileSync(join(folder, 'bin', 'nft'), nft, { mode: 0o755 })
    execFileSync('/bin/sh', ['-c', command], { env: { PATH: `${folder}/bin:${process.env.PATH}` } })
    t.equal(existsSync(join(folder, 'loaded')), !isLoaded)
  }
})
