import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { isHungUp } from 'node-netfilter-queue/system'
import t from 'tap'
import { PATIENCE_MS } from './helper.js'

/** A program that says on standard error when its standard output lost its reader. It writes nothing there. */
const WAITING = `
import { isHungUp } from 'node-netfilter-queue/system'
console.error('waiting', isHungUp(1))
const timer = setInterval(() => {
  if (!isHungUp(1)) return
  console.error('gone')
  clearInterval(timer)
}, 10)`

t.test('whoever writes nothing finds out that nobody reads any more', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', WAITING], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: new URL('.', import.meta.url),
    env: { PATH: process.env.PATH },
    timeout: PATIENCE_MS,
  })
  let said = ''
  child.stderr!.on('data', (data) => (said += data))
  await once(child.stderr!, 'data')
  t.equal(said, 'waiting false\n')
  child.stdout!.destroy()
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.equal(said, 'waiting false\ngone\n')
})

t.test('a file has always somebody, and what is no file descriptor has nobody to be gone', async (t) => {
  const fd = openSync('/dev/null', 'w')
  t.equal(isHungUp(fd), false)
  closeSync(fd)
  t.equal(isHungUp(999_999), false)
  t.equal(isHungUp('1' as unknown as number), false)
})
