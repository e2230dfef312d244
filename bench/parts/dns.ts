/**
 * Measures what a guard adds to a DNS query: microseconds from the query to its answer at the program that sends
 * it. Program, resolver and guard share the cores of this machine.
 */
import { existsSync } from 'node:fs'
import type { Namespace } from '../../test/lab/namespace.js'
import { MIRROR, type Topology } from '../../test/lab/topology.js'
import { canSwitchUsers } from '../../test/lab/users.js'
import { eventually, NODE, Service } from '../../test/netns/service.js'
import type { Column, Comparison, Contender, Figures, Part } from '../frame.js'
import { PLAIN, withGuard } from '../host.js'
import { C, script } from '../lib.js'
import { nftSets, nothing } from '../peers/kernel.js'
import { opensnitch } from '../peers/opensnitch.js'
import type { Peer } from '../peers/peer.js'
import type { Asked } from '../programs/dns-load.js'

/** How queries are sent. */
interface Mode {
  readonly name: string
  readonly way: 'udp' | 'tcp'
  /** Milliseconds before each query, in which cores may sleep and caches may be lost. */
  readonly pause: number
}

const MODES: readonly Mode[] = [
  { name: 'UDP, one question after the other', way: 'udp', pause: 0 },
  { name: 'UDP, two milliseconds before each', way: 'udp', pause: 2 },
  { name: 'TCP, one question after the other', way: 'tcp', pause: 0 },
]

interface Asker {
  readonly name: string
  readonly peer: Peer
  /** The name in the query; a `*` becomes the number of the query. */
  readonly asked: string
  /** The resolver that the program asks; the far one when absent. */
  readonly resolver?: string
  /** The user who sends queries; root when absent. */
  readonly user?: string
  /** Whether the main queue has a backlog, so that packets may meet the kernel's own allowlist. */
  readonly busy?: boolean
}

/** The lab's mirror is the resolver here. */
const RESOLVER = MIRROR.v4
const SETTINGS = `mode: enforce
infrastructure: { dns: [${RESOLVER}], ntp: [], dhcp: false }
mirrors: { discover: false, hosts: ['*.example.org'], ports: [80] }
allow: [{ name: api, to: ['*.example.com'], ports: [443], users: [www-data] }]
`
const notHeld = withSettings(`${SETTINGS}dns: { holdAnswers: false, resolve: false }\n`)
const held = withSettings(`${SETTINGS}dns: { resolve: false }\n`)

/** Returns checkvalve with given settings. */
function withSettings(settings: string): Peer {
  return {
    name: 'checkvalve',
    start: async (web) => {
      const service = await Service.start(web, settings)
      return { pid: service.program.pid, service, refused: async () => 0, stop: () => service.remove() }
    },
  }
}

const NFTSET = '--nftset=/example.org/4#inet#own#names4,6#inet#own#names6'
const DNSMASQ = ['dnsmasq', '--keep-in-foreground', '--conf-file=', '--pid-file=', '--user=root', '--group=']

/** A resolver on the host itself, which puts the addresses of names into the sets of the rules. */
const dnsmasq: Peer = {
  name: 'dnsmasq',
  absent: existsSync('/usr/sbin/dnsmasq') ? undefined : 'absent: not installed',
  start: async (web, policy) => {
    const guard = await nftSets.start(web, policy)
    const program = web.spawn([...DNSMASQ, '--no-resolv', '--no-hosts', `--server=${RESOLVER}`, NFTSET])
    await eventually('dnsmasq listens', async () => {
      if (!program.running) throw new Error(`dnsmasq ended: ${program.stderr}`)
      return (await web.run(['cat', '/proc/net/udp'])).stdout.includes(':0035 ')
    })
    return guard
  },
}

const LOCAL = { peer: dnsmasq, resolver: '127.0.0.1' }

const ASKERS: readonly Asker[] = [
  { name: 'no guard', peer: nothing, asked: 'n1.example.org' },
  { name: 'answers not held', peer: notHeld, asked: 'n1.example.org' },
  { name: 'held, name not allowed', peer: held, asked: 'n1.example.net' },
  { name: 'held, known address', peer: held, asked: 'n1.example.org' },
  { name: 'held, new address', peer: held, asked: 'n*.example.org' },
  { name: 'held, new, untrusted user', peer: held, asked: 'n*.example.com', user: 'www-data' },
  { name: 'held, known, service busy', peer: held, asked: 'n1.example.org', busy: true },
  { name: 'held, new, service busy', peer: held, asked: 'n*.example.org', busy: true },
  { name: 'dnsmasq --nftset, in its cache', ...LOCAL, asked: 'n1.example.org' },
  { name: 'dnsmasq --nftset, new address', ...LOCAL, asked: 'n*.example.org' },
  { name: 'OpenSnitch', peer: opensnitch, asked: 'n1.example.org' },
]

/** Sends bursts to a blocked destination for so many seconds, each with more packets than one batch. */
const BURSTS = 'for i in $(seq $(($1 * 4))); do "$0" 203.0.113.0 24 9 1024 1 >/dev/null; sleep 0.3; done'

async function serve({ web, mirror }: Topology) {
  await web.file('/etc/resolv.conf', `nameserver ${RESOLVER}\n`)
  const resolver = mirror.spawn([...NODE, script('dns-load'), 'answer'])
  await resolver.result('listening')
}

function measure(asker: Asker, mode: Mode, seconds: number): Promise<Figures> {
  const work = async ({ web }: Topology, service: Service | undefined) => {
    const { median, p99, asked } = await lookUp(web, asker, mode, seconds)
    const share = async (outcome: string) =>
      service ? ((await service.metric('answers_total', `outcome="${outcome}"`)) / asked) * 100 : null
    return { median, p99, held: await share('held'), missed: await share('missed') }
  }
  return withGuard(asker.peer, PLAIN, (lab, { service }) => work(lab, service), serve)
}

async function lookUp(web: Namespace, asker: Asker, mode: Mode, seconds: number): Promise<Asked> {
  const { asked, user, busy, resolver = RESOLVER } = asker
  const bursts = busy ? web.spawn(['sh', '-c', BURSTS, C('flood'), `${seconds + 2}`]) : undefined
  const argv = [
    ...NODE,
    script('dns-load'),
    'ask',
    mode.way,
    `${mode.pause}`,
    asked,
    resolver,
    `${seconds * 1000}`,
  ]
  const timeout = seconds * 1000 + 30_000
  const { stdout } = await web.run(argv, { timeout, ...(user === undefined ? {} : { user }) })
  await bursts?.stop()
  return JSON.parse(stdout) as Asked
}

const COLUMNS: readonly Column[] = [
  { key: 'median', title: 'median µs', ratio: true },
  { key: 'p99', title: 'p99 µs', ratio: true },
  { key: 'held', title: '% held' },
  { key: 'missed', title: '% missed' },
]

const contender = (asker: Asker, mode: Mode): Contender => ({
  name: asker.name,
  absent:
    asker.user !== undefined && !canSwitchUsers() ? 'absent: only one user exists here' : asker.peer.absent,
  measure: (seconds) => measure(asker, mode, seconds),
})

const comparison = (mode: Mode): Comparison => ({
  name: mode.name,
  columns: COLUMNS,
  contenders: ASKERS.map((asker) => contender(asker, mode)),
})

export const dns: Part = {
  name: 'dns',
  title: 'Time of a name look-up.',
  comparisons: () => MODES.map(comparison),
}
