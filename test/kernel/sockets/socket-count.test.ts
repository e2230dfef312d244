/** These tests count the sockets of a real kernel. */
import { createSocket, type SocketType } from 'node:dgram'
import { once } from 'node:events'
import t from 'tap'
import { SocketCount } from '../../../src/kernel/sockets/socket-count.js'

const MANY = 50

async function open(type: SocketType) {
  const socket = createSocket(type).bind(0)
  await once(socket, 'listening')
  return socket
}

t.test('UDP sockets of both families are counted', async (t) => {
  const count = new SocketCount()
  t.teardown(() => count.close())
  for (const type of ['udp4', 'udp6'] as const) {
    const before = count.udp
    const sockets = await Promise.all(Array.from({ length: MANY }, () => open(type)))
    const more = count.udp - before
    // Other programs may open and close some meanwhile.
    t.ok(Math.abs(more - MANY) < MANY / 2, `the count grew by ${more}`)
    for (const socket of sockets) socket.close()
  }
})
