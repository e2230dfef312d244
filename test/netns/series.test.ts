/** Counts the series of a busy service: a fleet of ten thousand has as many as that times ten thousand. */
import t from 'tap'
import { MIRROR, NEIGHBOURS, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, sendUdp, serveHttp, worm } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { dashboard, expressions, metricsIn, recordingRules } from '../monitoring/rules.js'
import { guarded } from './runtime.js'
import { eventually, NODE } from './service.js'

/** SPREAD FIRST LAST HOST: connects to the host once as each of these users. */
const SPREAD = `const { spawnSync } = require('child_process')
const [first, last, host] = process.argv.slice(1)
for (let uid = +first; uid <= +last; uid++)
  spawnSync('bash', ['-c', 'exec 3<>/dev/tcp/' + host + '/81'], { uid, gid: uid, stdio: 'ignore' })`

const PLAN = {
  targets: [...NEIGHBOURS.v4.slice(0, 20), ...NEIGHBOURS.v6.slice(0, 20)],
  tcpPorts: [22, 80, 443],
  udpPorts: [53, 123],
  timeout: 300,
  concurrency: 64,
}

t.test(
  'a busy service has fewer than 200 series, however many users and destinations are blocked',
  async (t) => {
    const [lab, service] = await guarded(t)
    await serveHttp(lab.web, 80)
    const infected = canSwitchUsers() ? 'www-data' : undefined
    await worm(lab.web, PLAN, infected)
    if (canSwitchUsers()) await lab.web.run([...NODE, '-e', SPREAD, '20000', '20049', VICTIM.v4])
    await httpGet(lab.client, `http://${WEB.client.v4}/`)
    await httpGet(lab.web, `http://${MIRROR.v4}/`)
    await sendUdp(lab.web, MIRROR.v4, 53, 1)
    await lab.web.run(['ping', '-c', '1', '-W', '1', VICTIM.v4], { allowFailure: true })
    await service.command('mode', 'observe')
    t.equal((await connect(lab.web, VICTIM.v4, 80)).outcome, 'ok')
    await worm(lab.web, { ...PLAN, targets: [VICTIM.v4, VICTIM.v6] }, infected)
    await service.command('mode', 'enforce')
    await eventually('proved again', async () => (await service.metric('enforcement_proven')) >= 2)

    const page = await service.metrics()
    const samples = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    t.ok(samples.length < 200, `${samples.length} series`)
    if (canSwitchUsers())
      t.match(page, /^checkvalve_blocked_users_total\{user="other"\} \d+$/m, 'users are bounded')
    t.match(page, /verdict="would-block",reason="not-allowlisted",protocol="udp",family="ipv6"/)
    t.comment(`${samples.length} series`)

    const names = new Set(samples.map((line) => line.match(/^\w+/)![0]))
    const recorded = recordingRules().map(({ record }) => record)
    for (const { title, expr } of expressions(dashboard()))
      for (const name of metricsIn(expr))
        t.ok(names.has(name) || recorded.includes(name), `${title} has data: ${name}`)
  },
)
