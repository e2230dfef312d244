/**
 * Measures verdicts a second and CPU a verdict, under a flood that never lets the queue run empty. All refuse
 * every packet, as in the flood of a worm. Figures are taken from outside and in the same way for each: verdicts
 * by a counter of the kernel, CPU (user and system) by /proc/PID/stat. checkvalve decodes, searches 10,000
 * prefixes, finds the sender, counts and logs; the program in C has no policy.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../test/lab/waiting.js'
import type { Column, Contender, Figures, Part } from '../frame.js'
import { withGuard } from '../host.js'
import { cpuSeconds } from '../lib.js'
import { startFlood } from '../load.js'
import { checkvalve } from '../peers/checkvalve.js'
import { nftDrop, nftSets } from '../peers/kernel.js'
import { opensnitch } from '../peers/opensnitch.js'
import type { Guard, Peer, Policy } from '../peers/peer.js'
import { binding, npmNfqueue, reference, referenceAlone } from '../peers/queue-programs.js'

const PREFIXES = 10_000
const WARM_UP_MS = 500

export const VERDICT_COLUMNS: readonly Column[] = [
  { key: 'verdicts', title: 'verdicts/s', ratio: true },
  { key: 'cpu', title: 'CPU µs', digits: 2, ratio: true },
]

/** Returns a contender that refuses a flood. */
export const refusing = (peer: Peer, prefixes: number, name = peer.name): Contender => ({
  name,
  absent: peer.absent,
  measure: (seconds) => measure(peer, { block: 'drop', prefixes }, seconds),
})

function measure(peer: Peer, policy: Policy, seconds: number): Promise<Figures> {
  return withGuard(peer, policy, async ({ web }, guard) => {
    const flooding = startFlood(web)
    await eventually('packets are refused', async () => (await guard.refused()) > 0)
    await sleep(WARM_UP_MS)
    const before = await state(guard)
    await sleep(seconds * 1000)
    const after = await state(guard)
    await flooding.stop()
    const verdicts = after.refused - before.refused
    const cpu = guard.pid === undefined ? null : ((after.cpu - before.cpu) / verdicts) * 1e6
    return { verdicts: verdicts / (after.time - before.time), cpu }
  })
}

async function state({ pid, refused }: Guard): Promise<{ refused: number; cpu: number; time: number }> {
  const cpu = pid === undefined ? 0 : cpuSeconds(pid)
  return { refused: await refused(), cpu, time: performance.now() / 1000 }
}

const PEERS = [reference, referenceAlone, binding, checkvalve, npmNfqueue, opensnitch, nftSets, nftDrop]

export const verdicts: Part = {
  name: 'verdicts',
  title: 'Packets refused a second in a flood, and CPU time a packet of the program that decides.',
  comparisons: () => [
    {
      name: 'in a flood',
      columns: VERDICT_COLUMNS,
      contenders: PEERS.map((peer) => refusing(peer, PREFIXES)),
    },
  ],
}
