import { writeFileSync } from 'node:fs'
import t from 'tap'
import { run } from './running.js'

t.test('check says when no time server is known, and not where the configuration has a list', async (t) => {
  const file = `${t.testdir()}/checkvalve.yaml`
  const check = (yaml: string) => {
    writeFileSync(file, yaml)
    return run(['check', '--config', file])
  }
  const auto = check('infrastructure: { dns: [192.0.2.53] }\n')
  t.match(auto, { status: 0, stdout: 'configuration OK\n' })
  t.match(auto.stderr, /^note: no time server is known, so that NTP is blocked: .*infrastructure\.ntp/)
  t.match(check('infrastructure: { dns: [192.0.2.53], ntp: [] }\n'), { status: 0, stderr: '' })
})
