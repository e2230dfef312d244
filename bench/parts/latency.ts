/**
 * Measures what a guard adds to a connection: microseconds of connect(2) to a mirror, by root, at the median and
 * in the slowest cases; on a host that is idle, and in a flood of a worm that runs as the web server's user.
 */
import { MIRROR } from '../../test/lab/topology.js'
import type { Comparison, Figures, Part } from '../frame.js'
import { PLAIN, withGuard } from '../host.js'
import { connects, listen, spread } from '../load.js'
import { checkvalve } from '../peers/checkvalve.js'
import { nftDrop, nftSets, nothing } from '../peers/kernel.js'
import { opensnitch } from '../peers/opensnitch.js'
import { FAST_PORT, type Peer } from '../peers/peer.js'
import { npmNfqueue, referenceAccepts } from '../peers/queue-programs.js'

const PEERS = [nothing, nftDrop, nftSets, referenceAccepts, checkvalve, npmNfqueue, opensnitch]
const WARM_UP = 0.3
/** Microseconds between two connections in a flood: as much is left to the flood as it can take. */
const PAUSE = 1000

function measure(peer: Peer, inFlood: boolean, seconds: number): Promise<Figures> {
  return withGuard(peer, PLAIN, async ({ web, mirror }) => {
    await listen(mirror, FAST_PORT)
    await connects(web, MIRROR.v4, FAST_PORT, WARM_UP, 0)
    const worm = inFlood ? spread(web, { kind: 'slammer', full: true }, 4, seconds + 2 * WARM_UP) : undefined
    const { attempts, connected, p50, p99, p999 } = await connects(
      web,
      MIRROR.v4,
      FAST_PORT,
      seconds,
      inFlood ? PAUSE : 0,
    )
    await worm
    return { p50, p99, p999, connected: (connected / attempts) * 100 }
  })
}

const comparison = (name: string, inFlood: boolean): Comparison => ({
  name,
  columns: [
    { key: 'p50', title: 'p50 µs', ratio: true },
    { key: 'p99', title: 'p99 µs', ratio: true },
    { key: 'p999', title: 'p99.9 µs', ratio: true },
    { key: 'connected', title: '% connected', digits: 1 },
  ],
  contenders: PEERS.map((peer) => ({
    name: peer.name,
    absent: peer.absent,
    measure: (seconds) => measure(peer, inFlood, seconds),
  })),
})

export const latency: Part = {
  name: 'latency',
  title: 'Time to connect to a mirror, as root.',
  comparisons: () => [comparison('idle', false), comparison('in a flood', true)],
}
