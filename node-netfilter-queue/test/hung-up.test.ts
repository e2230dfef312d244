import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import t from 'tap'
import { isHungUp } from '../src/index.js'

/** Says on standard error when nobody reads its standard output any more, to which it writes nothing. */
const WAITING = `
const { isHungUp } = await import(process.argv[1])
console.error('waiting', isHungUp(1))
const timer = setInterval(() => {
  if (!isHungUp(1)) return
  console.error('gone')
  clearInterval(timer)
}, 10)`

t.test('whoever writes nothing finds out that nobody reads any more', async (t) => {
  const module = new URL('../src/index.js', import.meta.url).href
  const child = spawn(process.execPath, ['--input-type=module', '-e', WAITING, module], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH },
    timeout: 10_000,
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
