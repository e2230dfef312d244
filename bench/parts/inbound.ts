/**
 * Measures the cost of a guard for a busy web server: requests a second of nginx under wrk. Without a guard the
 * kernel tracks no connections. Any stateful firewall makes it track them: `nft drop` shows how much of the cost
 * that is. Server, client and guard share the cores of this machine, so that the guard takes time from the others.
 */
import type { Comparison, Figures, Part } from '../frame.js'
import { PLAIN, withGuard } from '../host.js'
import { cpuSeconds } from '../lib.js'
import { checkvalve } from '../peers/checkvalve.js'
import { nftDrop, nftSets, nothing } from '../peers/kernel.js'
import { opensnitch } from '../peers/opensnitch.js'
import type { Peer } from '../peers/peer.js'
import { npmNfqueue } from '../peers/queue-programs.js'
import { requestsPerSecond, WebServer, webServerAbsent } from '../web-server.js'

const PEERS = [nothing, nftDrop, nftSets, checkvalve, npmNfqueue, opensnitch]
const WARM_UP = 1

/** @param words arguments of wrk */
function measure(peer: Peer, words: readonly string[], seconds: number): Promise<Figures> {
  return withGuard(peer, PLAIN, async (lab, { pid }) => {
    using _server = await WebServer.start(lab)
    await requestsPerSecond(lab.client, WARM_UP, words)
    const before = { cpu: pid === undefined ? 0 : cpuSeconds(pid), time: performance.now() }
    const requests = await requestsPerSecond(lab.client, seconds, words)
    const elapsed = (performance.now() - before.time) / 1000
    return { requests, cpu: pid === undefined ? null : ((cpuSeconds(pid) - before.cpu) / elapsed) * 100 }
  })
}

const comparison = (name: string, words: readonly string[]): Comparison => ({
  name,
  columns: [
    { key: 'requests', title: 'requests/s', ratio: true },
    { key: 'cpu', title: 'CPU % of a core', digits: 1 },
  ],
  contenders: PEERS.map((peer) => ({
    name: peer.name,
    absent: webServerAbsent ?? peer.absent,
    measure: (seconds) => measure(peer, words, seconds),
  })),
})

export const inbound: Part = {
  name: 'inbound',
  title: 'Requests a second of nginx, 8 kB pages.',
  comparisons: () => [
    comparison('keep-alive', []),
    comparison('a connection a request', ['--header', 'Connection: close']),
  ],
}
