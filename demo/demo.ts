/**
 * Runs the demo (npm run demo): checkvalve guards a real web server in network namespaces of its own, and an
 * infected process tries to get out. Claims are checked by counting packets at the hosts where they would
 * have arrived.
 */
import { type Arrivals, countArrivals } from '../test/lab/arrivals.js'
import { CLIENT, MIRROR, NEIGHBOURS, VICTIM, WEB } from '../test/lab/topology.js'
import { connect, httpGet, sendUdp, type WormReport, worm } from '../test/lab/traffic.js'
import { canSwitchUsers } from '../test/lab/users.js'
import { pause } from '../test/lab/waiting.js'
import { claim, failed, line, progress, title } from './say.js'
import { createStage, logLines, MIRROR_NAME, type Stage, sum } from './stage.js'

const keep = process.argv.includes('--keep')
const twoUsers = canSwitchUsers()
/** The infected user: that of the web server, or the only user when no other exists. */
const infected = twoUsers ? 'www-data' : undefined
const infectedName = infected ?? 'the only user here'
const CONTROL_HOST = '203.0.113.200'
const PAGES = 20
/** How long the first proof may take: milliseconds. */
const PROOF_MS = 30_000
const TRY_AGAIN_MS = 100

const PLAN = {
  targets: [...NEIGHBOURS.v4.slice(0, 100), ...NEIGHBOURS.v6.slice(0, 100)],
  tcpPorts: [22, 80, 445],
  udpPorts: [53, 1434],
  timeout: 400,
  concurrency: 128,
}

const attemptsOf = ({ tcp4, tcp6, udp4, udp6 }: WormReport) =>
  tcp4.attempts + tcp6.attempts + udp4.attempts + udp6.attempts
const connectionsOf = ({ tcp4, tcp6 }: WormReport) => tcp4.successes + tcp6.successes

async function main(): Promise<void> {
  const stage = await createStage()
  try {
    await play(stage)
    if (keep && failed() === 0) await stay(stage)
  } finally {
    await stage.close()
  }
}

async function play(stage: Stage): Promise<void> {
  const arrivals = await countArrivals(stage.lab.victims, 'to-web')
  await withoutGuard(stage, arrivals)
  await stage.startGuard()
  const before = await arrivals()
  await inbound(stage, 'With checkvalve (mode enforce): clients are answered')
  await patching(stage, 'Updates continue')
  await attack(stage, 'Nothing else gets out')
  claim(
    (await arrivals()).total === before.total,
    `packets that arrived at the victims: ${(await arrivals()).total - before.total}`,
  )
  await report(stage)
  await withDeadGuard(stage, arrivals)
}

/** Shows that the count finds packets: otherwise 0 would prove nothing. */
async function withoutGuard({ lab }: Stage, arrivals: () => Promise<Arrivals>): Promise<void> {
  title('Without checkvalve: an infected process on the web server spreads')
  const report = await progress('the worm runs', () => worm(lab.web, PLAN, infected))
  const { total } = await arrivals()
  claim(
    total > 0,
    `${attemptsOf(report)} attempts as ${infectedName}: ${total} packets arrived at its neighbours`,
  )
}

async function inbound({ lab }: Stage, heading: string): Promise<void> {
  title(heading)
  for (const [family, host] of [
    ['IPv4', WEB.client.v4],
    ['IPv6', `[${WEB.client.v6}]`],
  ] as const) {
    const pages = await progress('a client fetches pages', () =>
      Promise.all(Array.from({ length: PAGES }, () => httpGet(lab.client, `http://${host}/`))),
    )
    const good = pages.filter(({ status }) => status === 200).length
    claim(
      good === PAGES,
      `a client (${family === 'IPv4' ? CLIENT.v4 : CLIENT.v6}) fetched ${good} of ${PAGES} pages over ${family}`,
    )
  }
}

async function patching({ lab }: Stage, heading: string): Promise<void> {
  title(heading)
  for (const host of [MIRROR_NAME, MIRROR.v4, `[${MIRROR.v6}]`]) {
    const update = await httpGet(lab.web, `http://${host}/large?bytes=1000000`)
    claim(
      update.status === 200,
      `root fetched ${Math.round((update.bytes ?? 0) / 1000)} kB from the mirror ${host}`,
    )
  }
}

async function attack({ lab }: Stage, heading: string): Promise<void> {
  title(heading)
  const spread = await progress('the worm runs', () => worm(lab.web, PLAN, infected))
  claim(
    connectionsOf(spread) === 0,
    `${infectedName} tried ${attemptsOf(spread)} times to spread (TCP, UDP, IPv4, IPv6): ${connectionsOf(spread)} connections`,
  )
  const control = await connect(lab.web, CONTROL_HOST, 6667, as())
  claim(
    control.outcome !== 'ok',
    `${infectedName} called its control host ${CONTROL_HOST}: ${control.outcome} after ${Math.round(control.ms)} ms`,
  )
  await sendUdp(lab.web, VICTIM.v4, 1434, 10, as())
  if (twoUsers) {
    const update = await connect(lab.web, MIRROR.v4, 80, as())
    claim(update.outcome !== 'ok', `${infectedName} tried the mirror, which root may use: ${update.outcome}`)
  } else line('skipped: the mirror refused to another user (this user namespace has only one user)')
  const otherPort = await connect(lab.web, MIRROR.v4, 22)
  claim(otherPort.outcome !== 'ok', `root tried another port of the mirror: ${otherPort.outcome}`)
}

const as = () => (infected === undefined ? {} : { user: infected })

/** Waits for the first proof, which is tried a second after the start. @returns the samples */
async function proved(stage: Stage): Promise<string[]> {
  for (const end = Date.now() + PROOF_MS; ; await pause(TRY_AGAIN_MS)) {
    const samples = await stage.metrics()
    const isTried = samples.some((line) => line.startsWith('checkvalve_enforcement_proven '))
    if (isTried || Date.now() > end) return samples
  }
}

async function report(stage: Stage): Promise<void> {
  title('What an operator sees')
  const samples = await progress('the service proves that it blocks', () => proved(stage))
  const count = (name: string, label = '') => sum(samples, name, label)
  line(`checkvalve_packets_total{verdict="block"}       ${count('packets_total', 'verdict="block"')}`)
  line(`checkvalve_packets_total{reason="mirror"}       ${count('packets_total', 'reason="mirror"')}`)
  line(`checkvalve_kernel_packets_total{path="reply"}   ${count('kernel_packets_total', 'path="reply"')}`)
  line(`checkvalve_enforcement_proven                   ${count('enforcement_proven ')}`)
  const blocked = count('packets_total', 'verdict="block"')
  claim(
    blocked > 0 && blocked === count('kernel_packets_total', 'path="blocked"'),
    'every verdict to block was carried out by the kernel',
  )
  claim(count('enforcement_proven ') === 1, 'the canary connection was blocked: enforcement is proven')
  const lines = logLines(stage)
  claim(lines.length >= 3, `the block log has ${lines.length} lines for ${blocked} blocks; three of them:`)
  const messages = lines.map((each) => (JSON.parse(each) as { message: string }).message)
  // During a flood not each kind has a line at once: others are shown instead.
  const kinds = ['tcp 203', 'tcp 2001', 'udp'].map((kind) => messages.find((each) => each.includes(kind)))
  const shown = new Set([...kinds, ...messages].filter((message) => message !== undefined))
  for (const message of [...shown].slice(0, 3)) line(`     ${message}`)
}

async function withDeadGuard(stage: Stage, arrivals: () => Promise<Arrivals>): Promise<void> {
  const before = (await arrivals()).total
  stage.guard.kill('SIGKILL')
  await stage.guard.exited
  await inbound(stage, 'The service is killed (kill -9): the kernel judges alone')
  const update = await httpGet(stage.lab.web, `http://${MIRROR.v4}/`)
  claim(update.status === 200, 'root still reaches the mirror')
  const restarted = stage.startGuard()
  const spread = await progress('the worm runs while the service restarts', () =>
    worm(stage.lab.web, PLAN, infected),
  )
  await restarted
  claim(
    connectionsOf(spread) === 0,
    `${attemptsOf(spread)} more attempts to spread, during the restart too: ${connectionsOf(spread)} connections`,
  )
  const after = (await arrivals()).total
  claim(after === before, `packets that arrived at the victims: ${after - before}`)
  await patching(stage, 'Restarted, the service takes over')
}

async function stay(stage: Stage): Promise<void> {
  const enter = `nsenter --target ${stage.lab.web.pid} ${twoUsers ? '' : '--user --preserve-credentials '}--net --mount`
  title('The demo keeps running (Ctrl-C ends it)')
  line(`scrape:        ${enter} curl -s http://127.0.0.1:17671/metrics`)
  line(`tail:          ${enter} tail -f ${stage.log}`)
  line(`the rules:     ${enter} nft list table inet checkvalve`)
  line(
    `attack it:     ${enter} ${twoUsers ? 'setpriv --reuid www-data --clear-groups ' : ''}curl -m 3 http://${VICTIM.v4}/`,
  )
  const configuration = `/proc/${stage.lab.web.pid}/root${stage.configuration}`
  line(`configuration: ${configuration} (conf.d/demo.yaml beside it; then kill -HUP ${stage.guard.pid})`)
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
    setInterval(() => {}, 1 << 30)
  })
}

try {
  const started = Date.now()
  await main()
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  console.log(failed() === 0 ? `\nAll claims hold, in ${seconds} s.` : `\n${failed()} claims did not hold.`)
  process.exit(failed() === 0 ? 0 : 1)
} catch (error) {
  console.error(`the demo could not run: ${(error as Error).message}`)
  process.exit(1)
}
