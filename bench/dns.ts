/**
 * Measures what checkvalve adds to a DNS query: microseconds from the query to its answer at the program that
 * sends it, median and 99th percentile. Then it runs names.ts, the cost of many names.
 *
 * The contenders take turns, each in namespaces of its own, in an order that is reversed each round; the
 * result is the median of the differences, and of the ratios, of each round. Program, resolver and service
 * share the cores of this machine. Queries follow one another on one socket, whose connection is approved
 * once: when answers are not held, the service sees no further packets of it. `node dist/bench/dns.js [ROUNDS
 * [SECONDS]]`
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import {
  type Answer,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  streamEncode,
} from 'dns-packet'
import { link, Namespace } from '../test/lab/namespace.js'
import type { Program } from '../test/lab/program.js'
import { say } from '../test/lab/programs/say.js'
import { canSwitchUsers } from '../test/lab/users.js'
import { NODE, Service } from '../test/netns/service.js'
import { median } from './lib.js'
import { compareSizes } from './names.js'

type Way = 'udp' | 'tcp'

/** How queries are sent. */
interface Mode {
  readonly name: string
  readonly way: Way
  /** Milliseconds before each query, in which cores may sleep and caches may be lost. */
  readonly pause: number
}

const MODES: readonly Mode[] = [
  { name: 'UDP, one question after the other', way: 'udp', pause: 0 },
  { name: 'UDP, two milliseconds before each', way: 'udp', pause: 2 },
  { name: 'TCP, one question after the other', way: 'tcp', pause: 0 },
]

interface Contender {
  readonly name: string
  /** The configuration, in YAML; undefined: checkvalve does not run. */
  readonly settings?: string
  /** The name in the query; a `*` becomes the number of the query. */
  readonly asked: string
  /** The user who sends queries; root when absent. */
  readonly user?: string
  /** Whether the main queue has a backlog, so that packets may meet the kernel's own allowlist. */
  readonly busy?: boolean
}

/** Figures of the program that sends queries: microseconds, and the number of queries. */
interface Asked {
  readonly median: number
  readonly p99: number
  readonly asked: number
}

interface Figures extends Asked {
  /** Microseconds that the resolver takes itself. */
  readonly resolver: number
  /** Shares of the answers that were held, and that were released too early. */
  readonly held: number
  readonly missed: number
}

const [rounds = 5, seconds = 1] = process.argv.slice(2).map(Number)
const WEB = '198.51.100.1'
const RESOLVER = '198.51.100.2'
const WARM_UP_MS = 500
const PATIENCE_MS = 2000
const TTL = 30
const SELF = fileURLToPath(import.meta.url)

const SETTINGS = `mode: enforce
infrastructure: { dns: [${RESOLVER}], ntp: [], dhcp: false }
mirrors: { discover: false, hosts: ['*.example.org'], ports: [80] }
allow: [{ name: api, to: ['*.example.com'], ports: [443], users: [www-data] }]
`
const NOT_HELD = `${SETTINGS}dns: { holdAnswers: false, resolve: false }\n`
const HELD = `${SETTINGS}dns: { resolve: false }\n`

const ALL: readonly Contender[] = [
  { name: 'no checkvalve', asked: 'n1.example.org' },
  { name: 'answers not held', settings: NOT_HELD, asked: 'n1.example.org' },
  { name: 'held, name not allowed', settings: HELD, asked: 'n1.example.net' },
  { name: 'held, known address', settings: HELD, asked: 'n1.example.org' },
  { name: 'held, new address', settings: HELD, asked: 'n*.example.org' },
  { name: 'held, new, untrusted user', settings: HELD, asked: 'n*.example.com', user: 'www-data' },
  { name: 'held, known, service busy', settings: HELD, asked: 'n1.example.org', busy: true },
  { name: 'held, new, service busy', settings: HELD, asked: 'n*.example.org', busy: true },
]
const contenders = ALL.filter(({ user }) => user === undefined || canSwitchUsers())

/** Number of bursts to a blocked destination, each with more packets than one batch. */
const BURSTS = 'for i in $(seq $1); do "$0" 203.0.113.0 24 9 1024 1 >/dev/null; sleep 0.3; done'
const BURSTS_A_SECOND = 4
const FLOOD = fileURLToPath(new URL('../../bench/build/flood', import.meta.url))

/** Returns the address of a name: in 198.18.0.0/15, by the number in the name. Names have A records only. */
function answerTo(message: Buffer): Packet {
  const { id, questions } = decode(message)
  const { name, type } = questions![0]!
  const number = Number(/\d+/.exec(name)?.[0]) % 0x20000
  const data = `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`
  const answers: Answer[] = type === 'A' ? [{ type, name, ttl: TTL, data }] : []
  return { type: 'response', id: id!, flags: RECURSION_AVAILABLE, questions: questions!, answers }
}

/** Runs the resolver. At its end it prints its own time for each answer. */
function answer(): void {
  const taken: number[] = []
  const timed = (work: (done: () => void) => void) => {
    const start = performance.now()
    work(() => taken.push((performance.now() - start) * 1000))
  }
  const udp = createSocket('udp4')
  udp.on('message', (message, { port, address }) =>
    timed((done) => udp.send(encode(answerTo(message)), port, address, done)),
  )
  const tcp = createServer({ noDelay: true }, (socket) =>
    readMessages(socket, (message) => timed((done) => socket.write(streamEncode(answerTo(message)), done))),
  )
  udp.bind(53, () => tcp.listen(53, () => say({ listening: 53 })))
  process.once('SIGTERM', () => {
    say({ microseconds: median(taken) })
    process.exit()
  })
}

/** Splits messages over TCP, each after its length. Here each segment has whole messages. */
function readMessages(socket: Socket, onMessage: (message: Buffer) => void): void {
  // The service ends its connections by a reset.
  socket.on('error', () => {})
  socket.on('data', (segment) => {
    for (let at = 0; at < segment.length; at += 2 + segment.readUInt16BE(at))
      onMessage(segment.subarray(at + 2, at + 2 + segment.readUInt16BE(at)))
  })
}

/** Sends queries, and calls back for each answer. */
interface Line {
  readonly send: (question: Packet) => void
  readonly onAnswer: (heard: () => void) => void
}

const LINES: Readonly<Record<Way, () => Promise<Line>>> = {
  udp: async () => {
    const socket = createSocket('udp4')
    socket.connect(53, RESOLVER)
    await once(socket, 'connect')
    return {
      send: (question) => socket.send(encode(question)),
      onAnswer: (heard) => socket.on('message', heard),
    }
  },
  tcp: async () => {
    const socket = connect({ port: 53, host: RESOLVER, noDelay: true })
    await once(socket, 'connect')
    return {
      send: (question) => socket.write(streamEncode(question)),
      onAnswer: (heard) => readMessages(socket, heard),
    }
  },
}

/** Runs the program that sends queries. It prints its figures, without those of the warm-up. */
async function ask({ way, pause }: Mode, asked: string, milliseconds: number): Promise<void> {
  const { send, onAnswer } = await LINES[way]()
  const taken: number[] = []
  const begin = performance.now()
  let number = 0
  let start = 0
  const next = () => {
    const question = questionFor(asked.replace('*', `${++number}`), number & 0xffff)
    start = performance.now()
    send(question)
  }
  onAnswer(() => {
    const now = performance.now()
    const passed = now - begin - WARM_UP_MS
    if (passed > 0) taken.push((now - start) * 1000)
    if (passed < milliseconds) return pause === 0 ? next() : setTimeout(next, pause)
    say({ median: median(taken), p99: percentile(taken, 0.99), asked: number } satisfies Asked)
    process.exit()
  })
  setTimeout(() => process.exit(1), WARM_UP_MS + milliseconds + PATIENCE_MS)
  next()
}

const questionFor = (name: string, id: number): Packet => ({
  type: 'query',
  id,
  flags: RECURSION_DESIRED,
  questions: [{ type: 'A', name }],
})

function percentile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1]!
}

/** Sets up two namespaces and a cable; the resolver runs in the unguarded one. */
async function startResolver(web: Namespace, far: Namespace): Promise<Program> {
  await link(web, 'to-far', far, 'to-web')
  await web.address('to-far', `${WEB}/24`)
  await far.address('to-web', `${RESOLVER}/24`)
  await web.route(`default via ${RESOLVER}`)
  await web.file('/etc/resolv.conf', `nameserver ${RESOLVER}\n`)
  const resolver = far.spawn([...NODE, SELF, 'answer'])
  await resolver.result('listening')
  return resolver
}

async function measure(contender: Contender, mode: Mode): Promise<Figures> {
  await using web = await Namespace.create('web')
  await using far = await Namespace.create('far')
  const resolver = await startResolver(web, far)
  const service = contender.settings === undefined ? undefined : await Service.start(web, contender.settings)
  try {
    const figures = await lookUp(web, contender, mode)
    const held = await partOf(service, 'held', figures.asked)
    const missed = await partOf(service, 'missed', figures.asked)
    await resolver.stop()
    const { microseconds } = await resolver.result('microseconds')
    return { ...figures, resolver: microseconds as number, held, missed }
  } finally {
    await service?.stop()
    await service?.remove()
  }
}

async function partOf(service: Service | undefined, outcome: string, asked: number): Promise<number> {
  return service === undefined ? 0 : (await service.metric('answers_total', `outcome="${outcome}"`)) / asked
}

async function lookUp(web: Namespace, { asked, user, busy }: Contender, mode: Mode): Promise<Asked> {
  const bursts = busy
    ? web.spawn(['sh', '-c', BURSTS, FLOOD, `${BURSTS_A_SECOND * (seconds + PATIENCE_MS / 1000)}`])
    : undefined
  const as = user === undefined ? {} : { user }
  const argv = [...NODE, SELF, 'ask', JSON.stringify(mode), asked, `${seconds * 1000}`]
  const { stdout } = await web.run(argv, { ...as, timeout: seconds * 1000 + 30_000 })
  await bursts?.stop()
  return JSON.parse(stdout) as Asked
}

async function compareLookUps(mode: Mode): Promise<void> {
  const figures: Figures[][] = contenders.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...contenders.entries()]
    if (round % 2 === 1) order.reverse()
    for (const [index, contender] of order) figures[index]!.push(await measure(contender, mode))
  }
  report(mode, figures)
}

/** Compares with a run without checkvalve: additional microseconds, and the ratio. */
function report(mode: Mode, figures: readonly Figures[][]): void {
  const base = figures[0]!
  const own = median(base.map(({ resolver }) => resolver)).toFixed(0)
  console.log(`Look-ups over ${mode.name}: microseconds; the resolver's own part of each: ${own}`)
  console.log(row('', 'median', 'added', 'x', 'p99', 'added', 'x', 'held', 'missed'))
  for (const [index, { name }] of contenders.entries()) {
    const mine = figures[index]!
    const columns = (['median', 'p99'] as const).flatMap((key) => [
      median(mine.map((each) => each[key])).toFixed(0),
      median(mine.map((each, round) => each[key] - base[round]![key])).toFixed(0),
      median(mine.map((each, round) => each[key] / base[round]![key])).toFixed(2),
    ])
    const parts = (['held', 'missed'] as const).map((key) => median(mine.map((each) => each[key])) * 100)
    console.log(row(name, ...columns, ...parts.map((part) => `${part.toFixed(0)}%`)))
  }
}

const row = (name: string, ...columns: string[]) =>
  `  ${name.padEnd(28)}${columns.map((column) => column.padStart(8)).join('')}`.trimEnd()

async function main(): Promise<void> {
  for (const mode of MODES) await compareLookUps(mode)
  await compareSizes(rounds, seconds)
}

const [word, ...rest] = process.argv.slice(2)
if (word === 'answer') answer()
else if (word === 'ask') await ask(JSON.parse(rest[0]!) as Mode, rest[1]!, Number(rest[2]))
else await main()
