import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { ConnectionLimit } from '../../src/system/connection-limit.js'
import { eventually } from '../lab/waiting.js'

const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

/** Starts a server that answers requests only when the test says so, and limits its connections. */
async function serving(t: Test, limits = { kept: 4, atMost: 8 }) {
  const responses: ServerResponse[] = []
  const holders = new Map<number, string>()
  const server = createServer((_, response) => responses.push(response))
  new ConnectionLimit(server, {
    ...limits,
    holderOf: ({ remotePort }) => holders.get(remotePort!) ?? 'unknown',
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const opened: Socket[] = []
  t.teardown(() => {
    for (const socket of opened) socket.destroy()
    server.closeAllConnections()
    server.close()
  })
  /** Opens a connection of a holder, and returns when it is there. Sends `text`. */
  const open = async (holder: string, text = '') => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
    opened.push(socket)
    await new Promise((resolve) => socket.once('connect', resolve))
    holders.set(socket.localPort!, holder)
    socket.resume()
    if (text !== '') socket.write(text)
    return socket
  }
  const openAsking = async (holder: string) => {
    const before = responses.length
    const socket = await open(holder, REQUEST)
    await eventually('the request has arrived', () => responses.length > before)
    return socket
  }
  return { open, openAsking, responses }
}

const isOpen = (socket: Socket) => !socket.destroyed
const openOnes = (sockets: readonly Socket[]) => sockets.filter(isOpen).length

t.test('the oldest connections without a request go first, half a request counting as none', async (t) => {
  const { open, openAsking } = await serving(t)
  const asking = await openAsking('a')
  const idle = [await open('a'), await open('a', 'GET / HT'), await open('a')]
  const late = [await open('a'), await open('a')]
  await eventually('as many are closed as are too many', () => openOnes([...idle, ...late]) === 3)
  t.same(idle.map(isOpen), [false, false, true])
  t.same([asking, ...late].map(isOpen), [true, true, true])
})

t.test(
  'a holder of all places makes room for another, also with requests that nothing answers',
  async (t) => {
    const { openAsking, responses } = await serving(t)
    const held: Socket[] = []
    for (let i = 0; i < 4; i++) held.push(await openAsking('a'))
    const other = await openAsking('b')
    await eventually('one of the many is closed', () => openOnes(held) === 3)
    t.notOk(isOpen(held[0]!), 'it is the oldest')
    t.ok(isOpen(other))
    responses.at(-1)!.end('answered')
    t.equal(
      await new Promise((resolve) => other.once('data', (data) => resolve(/answered/.test(`${data}`)))),
      true,
    )
  },
)

t.test('of holders with as many connections, one with an idle connection loses it', async (t) => {
  const { open, openAsking } = await serving(t, { kept: 3, atMost: 8 })
  const asking = [await openAsking('a'), await openAsking('b')]
  const idle = await open('c')
  const late = await openAsking('d')
  await eventually('the idle one is closed', () => !isOpen(idle))
  t.same([...asking, late].map(isOpen), [true, true, true])
})

t.test('a burst leaves no more connections than the limit at any moment', async (t) => {
  const { open } = await serving(t, { kept: 2, atMost: 3 })
  const all = await Promise.all(Array.from({ length: 20 }, () => open('a')))
  await eventually('two are left', () => openOnes(all) === 2)
  t.same(all.slice(0, -2).filter(isOpen), [])
})

t.test('a connection whose answer was sent is idle again', async (t) => {
  const { open, openAsking, responses } = await serving(t, { kept: 2, atMost: 4 })
  const answered = await openAsking('a')
  const data = new Promise((resolve) => answered.once('data', resolve))
  responses[0]!.end('answered')
  await data
  const others = [await openAsking('a'), await openAsking('a')]
  await eventually('one is closed', () => !isOpen(answered))
  t.same(others.map(isOpen), [true, true])
  await open('a')
})
