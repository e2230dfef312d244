/**
 * Lets each worm loose as the web server's user, and measures what arrives at its victims, and what the flood does
 * to the host: a mirror's connections by root, the requests of clients, the log, the counters, the alert.
 */
import { countArrivals } from '../../test/lab/arrivals.js'
import type { Namespace } from '../../test/lab/namespace.js'
import { MIRROR } from '../../test/lab/topology.js'
import { eventually } from '../../test/lab/waiting.js'
import { kernelCount, type Service } from '../../test/netns/service.js'
import type { Column, Comparison, Figures, Part } from '../frame.js'
import { PLAIN, withGuard } from '../host.js'
import { connects, listen, spread, type Worm } from '../load.js'
import { checkvalve } from '../peers/checkvalve.js'
import { nftDrop, nftSets, nothing } from '../peers/kernel.js'
import { opensnitch } from '../peers/opensnitch.js'
import { FAST_PORT, type Peer, queueOf } from '../peers/peer.js'
import { npmNfqueue } from '../peers/queue-programs.js'
import { countSent } from '../sent.js'
import { requestsPerSecond, WebServer, webServerAbsent } from '../web-server.js'

/** The first is the base: what inbound requests are left of those under the kernel's limit. */
const PEERS = [nftDrop, nothing, nftSets, checkvalve, npmNfqueue, opensnitch]

const WORMS: readonly Worm[] = [
  { kind: 'code-red', full: true },
  { kind: 'nimda', full: false },
  { kind: 'nimda', full: true },
  { kind: 'slammer', full: true },
  { kind: 'mirai', full: true },
  { kind: 'slow', full: false },
]

const COLUMNS: readonly Column[] = [
  { key: 'sent', title: 'sent/s' },
  { key: 'arrived', title: 'arrived/s' },
  { key: 'connected', title: 'mirror %', digits: 1 },
  { key: 'p50', title: 'p50 µs' },
  { key: 'p99', title: 'p99 µs' },
  { key: 'requests', title: 'requests/s', ratio: true },
  { key: 'uncounted', title: 'uncounted' },
  { key: 'lines', title: 'log lines' },
  { key: 'alerts', title: 'alerts' },
  { key: 'alert', title: 'alert after s', digits: 1 },
]

/** Microseconds between two connections to the mirror. */
const PAUSE = 2000
/** Seconds by which the worm begins before what is measured meanwhile. */
const AHEAD = 0.2

function measure(peer: Peer, worm: Worm, family: 4 | 6, seconds: number): Promise<Figures> {
  return withGuard(peer, PLAIN, async (lab, { service }) => {
    using _server = await WebServer.start(lab)
    await listen(lab.mirror, FAST_PORT)
    const arrivals = await countArrivals(lab.victims, 'to-web')
    const sent = await countSent(lab.web)
    const begin = Date.now()
    const spreading = spread(lab.web, worm, family, seconds + 2 * AHEAD)
    await new Promise((resolve) => setTimeout(resolve, AHEAD * 1000))
    const mirror = family === 4 ? MIRROR.v4 : MIRROR.v6
    const [{ attempts, connected, p50, p99 }, requests, report] = await Promise.all([
      connects(lab.web, mirror, FAST_PORT, seconds, PAUSE),
      requestsPerSecond(lab.client, seconds),
      spreading,
    ])
    const guarded = service && (await recorded(lab.web, service, sent, begin))
    const arrived = (await arrivals()).total / report.seconds
    const share = (connected / attempts) * 100
    return {
      sent: (await sent()) / report.seconds,
      arrived,
      connected: share,
      p50,
      p99,
      requests,
      ...guarded,
    }
  })
}

/** Returns what checkvalve says of a flood that has ended. @param begin the time of its first packet, in ms */
async function recorded(
  web: Namespace,
  service: Service,
  sent: () => Promise<number>,
  begin: number,
): Promise<Figures> {
  await eventually('the queue is empty', () => queueOf(web, 100)?.waiting === 0)
  const counted =
    (await service.blocks('reason="not-allowlisted"')) + (await kernelCount(web, 'fallback_drop'))
  const log = service.log()
  const alert = log.find((line) => line['event.action'] === 'alert')
  const alertAt = alert === undefined ? null : (Date.parse(`${alert['@timestamp']}`) - begin) / 1000
  const alerts = await service.metric('tripwire_alerts_total')
  return { uncounted: (await sent()) - counted, lines: log.length, alerts: alerts || null, alert: alertAt }
}

const comparison = (worm: Worm, family: 4 | 6): Comparison => ({
  name: `${worm.kind}${worm.kind === 'nimda' ? (worm.full ? ', unlimited' : ', 400/s') : ''}, IPv${family}`,
  columns: COLUMNS,
  contenders: PEERS.map((peer) => ({
    name: peer.name,
    absent: webServerAbsent ?? peer.absent,
    measure: (seconds) => measure(peer, worm, family, seconds),
  })),
})

export const flood: Part = {
  name: 'flood',
  title: 'What arrives of a worm, and what is left of the host meanwhile.',
  comparisons: () => WORMS.flatMap((worm) => [comparison(worm, 4), comparison(worm, 6)]),
}
