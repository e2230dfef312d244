/**
 * OpenSnitch as a peer: the daemon of Debian's package alone, without a window. Its rules allow root the mirror
 * and DNS; everything else is denied, also what has no known process. It cannot refuse, only drop.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Namespace } from '../../test/lab/namespace.js'
import { eventually } from '../../test/lab/waiting.js'
import { end, type Guard, MIRRORS, type Peer, queueOf } from './peer.js'

/** It has no option for its configuration. */
const CONFIG = '/etc/opensnitchd/default-config.json'
const FIREWALL = '/etc/opensnitchd/system-fw.json'
const DAEMON = '/usr/bin/opensnitchd'
/** Its default. */
const QUEUE = 0

const config = (folder: string) => ({
  Server: { Address: `unix://${folder}/no-window.sock`, LogFile: `${folder}/log` },
  DefaultAction: 'deny',
  DefaultDuration: 'once',
  InterceptUnknown: true,
  ProcMonitorMethod: 'proc',
  LogLevel: 2,
  Firewall: 'iptables',
  Stats: { MaxEvents: 150, MaxStats: 25 },
})

/** Returns a rule that allows root one destination. A rule with several conditions has them twice. */
function rule(name: string, operand: string, data: string) {
  const list = [
    { type: 'simple', operand: 'user.id', data: '0' },
    { type: 'simple', operand, data },
  ]
  const operator = { type: 'list', operand: 'list', data: JSON.stringify(list), list }
  const times = { created: '2024-01-01T00:00:00Z', updated: '2024-01-01T00:00:00Z' }
  return { ...times, name, enabled: true, precedence: true, action: 'allow', duration: 'always', operator }
}

const RULES = [
  ...MIRRORS.map((mirror, i) => rule(`mirror${i}`, 'dest.ip', mirror)),
  rule('dns', 'dest.port', '53'),
]

export const opensnitch: Peer = {
  name: 'OpenSnitch',
  absent: existsSync(DAEMON) ? undefined : 'absent: not installed',
  start,
}

async function start(web: Namespace): Promise<Guard> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-opensnitch-'))
  for (const each of RULES) writeFileSync(join(folder, `${each.name}.json`), JSON.stringify(each))
  await web.file(CONFIG, JSON.stringify(config(folder)))
  await web.file(FIREWALL, JSON.stringify({ SystemRules: [] }))
  const program = web.spawn([DAEMON, '-rules-path', folder, '-process-monitor-method', 'proc'])
  await eventually('OpenSnitch has loaded its rules', async () => {
    if (!program.running) throw new Error(`OpenSnitch ended: ${program.stdout}${program.stderr}`)
    if (queueOf(web, QUEUE) === undefined) return false
    return (await web.run(['iptables-save', '-t', 'mangle'])).stdout.includes('NFQUEUE')
  })
  const stop = async () => {
    await end(program)
    rmSync(folder, { recursive: true, force: true })
  }
  return { pid: program.pid, refused: async () => judged(web), stop }
}

/** It drops without a counter. In a flood of packets that it denies, each one that it was handed is one that it refused. */
function judged(web: Namespace): number {
  const queue = queueOf(web, QUEUE)
  return queue === undefined ? 0 : queue.handed - queue.lost - queue.waiting
}
