import { spawn } from 'node:child_process'
import t from 'tap'
import { Program } from './program.js'

const shell = (script: string) =>
  new Program('a shell', spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'] }))

/** Meanwhile the news of a child's end, and what it wrote, come together. */
function busyFor(ms: number): void {
  for (const end = Date.now() + ms; Date.now() < end; );
}

t.test('what a program writes last is read before it counts as ended', async (t) => {
  for (let i = 0; i < 20; i++) {
    const program = shell(`echo '{"last":${i}}'`)
    busyFor(10)
    t.same(await program.result('last'), { last: i })
  }
})

t.test('one whose pipes are held by another has ended all the same', async (t) => {
  const program = shell('sleep 2 & exit 3')
  t.equal(await program.exited, 3)
})
