/** Makes a connection of this process to itself, for tests that look up the owner of a socket. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Test } from 'tap'

/** Opens the connection. @returns the port that is called, and the port that it is called from */
export async function connection(t: Test): Promise<{ port: number; localPort: number }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect(port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [{ destroy(): void }]
  t.teardown(() => {
    client.destroy()
    accepted.destroy()
    server.close()
  })
  return { port, localPort: client.localPort! }
}
