import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { ConnectionHolders } from '../../../src/telemetry/http/connection-holder.js'
import { canSwitchUsers } from '../../lab/users.js'

const holders = new ConnectionHolders()
const { holderOf } = holders
t.teardown(() => holders.close())
const NOBODY = 65534

/** Accepts one connection, which `open` makes to a port. */
async function accepted(t: Test, listen: string, open: (port: number) => void): Promise<Socket> {
  const server = createServer()
  server.listen(0, listen)
  await once(server, 'listening')
  open((server.address() as AddressInfo).port)
  const [socket] = (await once(server, 'connection')) as [Socket]
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  return socket
}

t.test('connections from this host are held by their users, over IPv4 and IPv6', async (t) => {
  const own = `uid ${process.getuid!()}`
  for (const [listen, to] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
  ] as const) {
    const socket = await accepted(t, listen, (port) => {
      const client = connect(port, to)
      t.teardown(() => client.destroy())
    })
    t.equal(holderOf(socket), own, `${to} at ${listen}`)
  }
})

t.test('another user is another holder', { skip: !canSwitchUsers() && 'needs users' }, async (t) => {
  const socket = await accepted(t, '127.0.0.1', (port) => {
    const script = `require('node:net').connect(${port}, '127.0.0.1')`
    const child = spawn(process.execPath, ['-e', script], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
      env: {},
      stdio: 'ignore',
    })
    t.teardown(() => child.kill())
  })
  t.equal(holderOf(socket), `uid ${NOBODY}`)
})

t.test('connections from outside are held by an IPv4 address, or an IPv6 network of 64 bits', async (t) => {
  const from = (remoteAddress: string) =>
    holderOf({
      ...{ remoteAddress, remotePort: 40000 },
      ...{ localAddress: remoteAddress.includes(':') ? '2001:db8::1' : '192.0.2.1', localPort: 17671 },
    } as Socket)
  t.not(from('198.51.100.1'), from('198.51.100.2'))
  t.equal(from('::ffff:198.51.100.1'), from('198.51.100.1'))
  t.equal(from('2001:db8:1:2::1'), from('2001:db8:1:2:ffff::7'))
  t.not(from('2001:db8:1:2::1'), from('2001:db8:1:3::1'))
  t.ok(holderOf({} as Socket), 'a connection that has ended already')
})
