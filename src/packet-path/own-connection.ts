/** Makes a TCP connection of this process with itself, over loopback. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'

/** Another firewall may drop what goes to loopback: milliseconds. */
const PATIENCE_MS = 500

/** The ports of both ends. */
export interface OwnConnection {
  readonly localPort: number
  readonly port: number
}

/**
 * Makes a connection, and closes it when `use` has returned. Without loopback, or where it takes too long,
 * `use` is not called.
 */
export async function withOwnConnection(use: (connection: OwnConnection) => void): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const server = createServer((socket) => socket.resume()).on('error', () => {})
  try {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening', { signal })
    const { port } = server.address() as AddressInfo
    const client = connect(port, '127.0.0.1').on('error', () => {})
    try {
      await once(client, 'connect', { signal })
      use({ port, localPort: client.localPort! })
    } finally {
      client.destroy()
    }
  } catch {
    // It is only for speed: nothing depends on it.
  } finally {
    server.close()
  }
}
