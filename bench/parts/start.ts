/**
 * Measures how long a guard takes from its start until it decides: its rules are loaded, and its queue is read.
 * Guards that have no rules of their own are left out.
 */
import { createTopology } from '../../test/lab/topology.js'
import type { Contender, Figures, Part } from '../frame.js'
import { checkvalve } from '../peers/checkvalve.js'
import { nftDrop, nftSets } from '../peers/kernel.js'
import { opensnitch } from '../peers/opensnitch.js'
import type { Peer } from '../peers/peer.js'

const starting = (peer: Peer, prefixes: number, name = peer.name): Contender => ({
  name,
  absent: peer.absent,
  measure: (seconds) => measure(peer, prefixes, seconds),
})

/** Starts it once for each second, and takes the mean. */
async function measure(peer: Peer, prefixes: number, seconds: number): Promise<Figures> {
  let total = 0
  for (let times = 0; times < seconds; times++) {
    await using lab = await createTopology()
    const begin = performance.now()
    const guard = await peer.start(lab.web, { block: 'reject', prefixes })
    total += performance.now() - begin
    await guard.stop()
  }
  return { milliseconds: total / Math.ceil(seconds) }
}

export const start: Part = {
  name: 'start',
  title: 'Time from the start of a guard until it decides.',
  comparisons: () => [
    {
      name: 'start',
      columns: [{ key: 'milliseconds', title: 'ms', ratio: true }],
      contenders: [
        starting(nftSets, 0),
        starting(nftDrop, 0),
        starting(nftSets, 100_000, 'nft sets, 100 000 prefixes'),
        starting(checkvalve, 0),
        starting(checkvalve, 100_000, 'checkvalve, 100 000 prefixes'),
        starting(opensnitch, 0),
      ],
    },
  ],
}
