import { chmodSync, existsSync } from 'node:fs'
import t from 'tap'
import { CommandError, command } from '../../src/system/run-command.js'

t.test('a program receives its input, and its output is returned', async (t) => {
  t.equal(await command(['cat'], 'two\nlines\n'), 'two\nlines\n')
  t.equal(await command(['cat']), '')
})

t.test('output that is larger than a pipe is returned whole', async (t) => {
  const much = 'checkvalve\n'.repeat(100_000)
  t.equal((await command(['cat'], much)).length, much.length)
})

t.test('no shell interprets the arguments', async (t) => {
  const file = `${t.testdir()}/made-by-a-shell`
  const words = ['$HOME', '`id`', `; touch ${file}`, '*', '"', 'a  b']
  t.equal(await command(['printf', '%s\\n', ...words]), `${words.join('\n')}\n`)
  t.notOk(existsSync(file))
})

t.test('a missing program is named, with the package to install when that is known', async (t) => {
  await t.rejects(command(['checkvalve-no-such-program']), {
    name: 'CommandError',
    message: 'checkvalve-no-such-program is not installed',
    missing: true,
  })
})

t.test(
  'a program that fails is named with its arguments and the first lines of its standard error',
  async (t) => {
    const script = `${t.testdir({ fails: '#!/bin/sh\nfor i in 1 2 3 4 5 6; do echo "line $i" >&2; done\nexit 3\n' })}/fails`
    chmodSync(script, 0o755)
    await t.rejects(command([script, '-x']), {
      name: 'CommandError',
      message: `${script} -x: line 1 | line 2 | line 3 | line 4`,
      missing: false,
    })
  },
)

t.test('a program that fails without a message is still reported', async (t) => {
  const error = (await command(['false']).catch((error: unknown) => error)) as CommandError
  t.type(error, CommandError)
  t.match(error.message, /^false: ./)
})

t.test(
  'a program that ends without reading its input fails with its status, not with the broken pipe',
  async (t) => {
    t.equal(await command(['true'], 'x'.repeat(1_000_000)), '')
    await t.rejects(command(['false'], 'x'.repeat(1_000_000)), { name: 'CommandError', missing: false })
  },
)

t.test('a program runs with the language C and without other variables of this process', async (t) => {
  process.env.CHECKVALVE_TEST_SECRET = 'secret'
  t.teardown(() => delete process.env.CHECKVALVE_TEST_SECRET)
  const lines = (await command(['env'])).trim().split('\n')
  t.notOk(lines.some((line) => line.startsWith('CHECKVALVE_') || line.startsWith('HOME=')))
  t.ok(lines.includes('LC_ALL=C'))
  t.match(
    lines.find((line) => line.startsWith('PATH=')),
    /:\/usr\/sbin/,
  )
})
