/** Measures the memory of each guard's process: idle, and after a flood. What it shares with others is divided. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender, Figures, Part } from '../frame.js'
import { withGuard } from '../host.js'
import { mebibytes } from '../lib.js'
import { startFlood } from '../load.js'
import { checkvalve } from '../peers/checkvalve.js'
import { opensnitch } from '../peers/opensnitch.js'
import { end, type Peer } from '../peers/peer.js'
import { npmNfqueue, reference } from '../peers/queue-programs.js'

/** Node without a program, as the base. */
const node: Peer = {
  name: 'Node alone',
  start: async (web) => {
    const program = web.spawn([process.execPath, '-e', 'setInterval(() => {}, 1e6); console.log("{}")'])
    await program.until(() => program.results[0])
    return { pid: program.pid, refused: async () => 0, stop: () => end(program) }
  },
}

const remembering = (peer: Peer, prefixes: number, name = peer.name): Contender => ({
  name,
  absent: peer.absent,
  measure: (seconds) => measure(peer, prefixes, seconds),
})

function measure(peer: Peer, prefixes: number, seconds: number): Promise<Figures> {
  return withGuard(peer, { block: 'drop', prefixes }, async ({ web }, { pid = 0 }) => {
    await sleep(seconds * 1000)
    const idle = mebibytes(pid)
    const flooding = startFlood(web)
    await sleep(seconds * 1000)
    await flooding.stop()
    return { idle, flooded: mebibytes(pid) }
  })
}

export const memory: Part = {
  name: 'memory',
  title: 'Memory of the process that decides.',
  comparisons: () => [
    {
      name: 'memory',
      columns: [
        { key: 'idle', title: 'idle MiB', digits: 1, ratio: true },
        { key: 'flooded', title: 'after a flood MiB', digits: 1, ratio: true },
      ],
      contenders: [
        remembering(node, 0),
        remembering(checkvalve, 0),
        remembering(checkvalve, 10_000, 'checkvalve, 10 000 prefixes'),
        remembering(npmNfqueue, 0),
        remembering(opensnitch, 0),
        remembering(reference, 0),
      ],
    },
  ],
}
