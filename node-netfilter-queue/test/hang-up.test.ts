import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { isHungUp } from 'node-netfilter-queue/system'
import t from 'tap'
import { PATIENCE_MS } from './helper.js'

/**
 * This program prints a line to standard error when the reader of its standard output has gone. It writes
 * nothing to standard output.
 */
const WAITING = `
import { isHungUp } from 'node-netfilter-queue/system'
console.error('waiting', isHungUp(1))
const timer = setInterval(() => {
  if (!isHungUp(1)) return
  console.error('gone')
  clearInterval(timer)
}, 10)`

t.test('a program that writes nothing notices that its reader has gone', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', WAITING], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: new URL('.', import.meta.url),
    env: { PATH: process.env.PATH },
    timeout: PATIENCE_MS,
  })
  let stderr = ''
  child.stderr!.on('data', (data) => (stderr += data))
  await once(child.stderr!, 'data')
  t.equal(stderr, 'waiting false\n')
  child.stdout!.destroy()
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.equal(stderr, 'waiting false\ngone\n')
})

t.test('a file never counts as hung up, and neither does a value that is no file descriptor', async (t) => {
  const fd = openSync('/dev/null', 'w')
  t.equal(isHungUp(fd), false)
  closeSync(fd)
  t.equal(isHungUp(999_999), false)
  t.equal(isHungUp('1' as unknown as number), false)
})
