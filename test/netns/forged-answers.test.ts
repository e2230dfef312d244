import { type Answer, encode } from 'dns-packet'
import t, { type Test } from 'tap'
import type { Namespace } from '../lab/namespace.js'
import { MIRROR, type Topology, WEB } from '../lab/topology.js'
import { connect } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { createLab, datagrams, ELSEWHERE, guard, NAME, query } from './resolving.js'
import { eventually, NODE, PATIENCE_MS, type Service } from './service.js'

const PORT = 40053
const ID = 4711
const STRANGER = '203.0.113.53'
const SETTINGS = `dns: { resolve: false, holdTime: 5s }
mirrors: { hosts: ['*.example.org', ${NAME}], ports: [80] }
`

/** How many queries wait for an answer. Each bad answer needs one of its own: a query is answered once. */
const QUESTIONS = 120
const queries = Array.from({ length: QUESTIONS }, (_, i) => query(NAME, ID + i))
const address = (data: string, name = NAME): Answer => ({ type: 'A', name, ttl: 60, data })

function response(answers: Answer[], { id = ID, name = NAME } = {}): Buffer {
  return encode({ type: 'response', id, flags: 0x180, questions: [{ type: 'A', name }], answers })
}

async function send(
  place: Namespace,
  from: string,
  messages: readonly Buffer[],
  toPort = PORT,
): Promise<void> {
  const hex = messages.map((message) => message.toString('hex'))
  const plan = { from, port: 53, to: WEB.mirror.v4, toPort, messages: hex, wait: 0 }
  await datagrams(place, plan).exited
}

/** Makes a guarded host that has sent queries to a resolver that does not answer. */
async function queryingHost(t: Test, user?: string, more = ''): Promise<[Topology, Service, () => number]> {
  const lab = await createLab(t)
  const service = await guard(t, lab, SETTINGS + more)
  await service.launch()
  // A socket on port 53 prevents the resolver's host from refusing the queries.
  const silent = datagrams(lab.mirror, {
    ...{ from: MIRROR.v4, port: 53, to: '127.0.0.1', toPort: 9, messages: [], wait: 1 },
  })
  await silent.exited
  const plan = {
    from: WEB.mirror.v4,
    port: PORT,
    to: MIRROR.v4,
    toPort: 53,
    messages: queries.map((query) => query.toString('hex')),
    wait: 2 * PATIENCE_MS,
  }
  const asked = datagrams(lab.web, plan, user)
  await asked.result('sent')
  return [lab, service, () => asked.results.filter((each) => 'data' in each).length]
}

const opened = async (lab: Topology, user?: string) =>
  (await connect(lab.web, ELSEWHERE, 80, user ? { user } : {})).outcome

t.jobs = 2

t.test(
  'no address is learned from an answer that matches no query, and the program receives all answers',
  async (t) => {
    const [lab, service, received] = await queryingHost(t)
    let next = ID
    const good = () => response([address(ELSEWHERE)], { id: next++ })
    const answered = (...answers: Answer[]) => response(answers, { id: next++ })
    const chain = (...names: string[]): Answer[] =>
      names.slice(1).map((data, i) => ({ type: 'CNAME', name: names[i]!, ttl: 60, data }))
    const whole = good()
    const bad = [
      response([address(ELSEWHERE)], { id: ID - 1 }),
      response([address(ELSEWHERE, 'other.example.org')], { name: 'other.example.org', id: next }),
      query(NAME, next),
      Buffer.from('garbage'),
      Buffer.alloc(0),
      Buffer.alloc(600, 0xff),
      answered(address(ELSEWHERE, 'evil.example.net')),
      answered(...chain(NAME, 'a.example.net', NAME), address(ELSEWHERE, 'a.example.net')),
      answered(...Array.from({ length: 1000 }, (_, i) => address(`203.0.113.${i % 256}`))),
      ...Array.from({ length: whole.length - 1 }, (_, end) => good().subarray(0, end)),
    ]
    t.ok(next < ID + QUESTIONS, 'there is a query for each answer')
    await send(lab.victims, STRANGER, [good()])
    await send(lab.mirror, MIRROR.v4, [good()], PORT + 1)
    await send(lab.mirror, MIRROR.v4, bad)
    await eventually('the program has received all bad answers', () => received() >= bad.length)
    t.equal(await opened(lab), 'ECONNREFUSED', 'no address was learned')
    t.ok(received() >= bad.length, 'the program has received all bad answers')
    const before = received()
    await send(lab.mirror, MIRROR.v4, [good()])
    await eventually('the program has received a good answer', () => received() > before)
    t.equal(await opened(lab), 'ok', 'the address of a good answer was learned')
    t.equal(await service.metric('faults_total'), 0)
  },
)

t.test(
  'a user that sends a query, with an accomplice that forges the answer, makes no address allowed',
  async (t) => {
    if (!canSwitchUsers())
      return void t.comment('left out: a second user (only one user exists in this namespace)')
    const user = 'www-data'
    const [lab, , received] = await queryingHost(
      t,
      user,
      `allow: [{ name: api, to: ['*.example.org'], ports: [80] }]\n`,
    )
    await send(lab.mirror, MIRROR.v4, [response([address(ELSEWHERE)])])
    await eventually('the program has received the answer', () => received() === 1)
    t.equal(await opened(lab, user), 'ECONNREFUSED')
    t.equal(await opened(lab), 'ECONNREFUSED', 'the address is not allowed for root either')
  },
)

/** SILENT: accepts queries over TCP, prints each in hexadecimal, and does not answer. */
const SILENT = `const server = require('net').createServer((socket) => {
  socket.on('data', (data) => console.log(data.toString('hex'))).on('error', () => {})
})
server.listen(53, '${MIRROR.v4}', () => console.log('listening'))`

t.test(
  'while the service looks a name up, it has no UDP port at which an accomplice could send a forged answer',
  async (t) => {
    if (!canSwitchUsers())
      return void t.comment('left out: a second user (only one user exists in this namespace)')
    const user = 'www-data'
    const [lab] = await queryingHost(t, user, `allow: [{ name: api, to: ['*.example.org'], ports: [80] }]\n`)
    const resolver = lab.mirror.spawn([...NODE, '-e', SILENT])
    await resolver.until(() => resolver.stdout.includes('listening') || undefined)
    await send(lab.mirror, MIRROR.v4, [response([address(ELSEWHERE)])])
    const name = Buffer.from(`\x06mirror\x07example\x03org`).toString('hex')
    await resolver.until(() => resolver.stdout.includes(name) || undefined)
    const sockets = await lab.web.run(['cat', '/proc/net/udp', '/proc/net/udp6'], { user })
    // proc_pid_net(5): sl, local_address, rem_address ...; the program that sent the queries has bound PORT
    const ports = sockets.stdout
      .split('\n')
      .flatMap((line) => /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) /.exec(line)?.[1] ?? [])
    t.same(
      ports.map((port) => Number.parseInt(port, 16)),
      [PORT],
    )
    t.equal(await opened(lab, user), 'ECONNREFUSED')
  },
)
