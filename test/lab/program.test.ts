import { spawn } from 'node:child_process'
import t from 'tap'
import { Program } from './program.js'

const shell = (script: string) =>
  new Program('a shell', spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'] }))

/** Blocks the event loop, so that a child's end and its output become known at the same time. */
function busyFor(ms: number): void {
  for (const end = Date.now() + ms; Date.now() < end; );
}

t.test('the last output of a program is read before the program counts as ended', async (t) => {
  for (let i = 0; i < 20; i++) {
    const program = shell(`echo '{"last":${i}}'`)
    busyFor(10)
    t.same(await program.result('last'), { last: i })
  }
})

t.test('a program whose pipes another process holds counts as ended', async (t) => {
  const program = shell('sleep 2 & exit 3')
  t.equal(await program.exited, 3)
})
