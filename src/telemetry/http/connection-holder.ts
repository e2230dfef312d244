import type { Socket } from 'node:net'
import type { Address } from '../../core/packet/ip.js'
import { SocketOwners } from '../../kernel/sockets/socket-owners.js'
import { parseAddress } from '../../text/parse-address.js'

/** Node writes IPv4 on a socket of both families as an IPv6 address that holds it. */
const MAPPED = /^::ffff:(?=\d+\.)/

const addressOf = (text = ''): Address | undefined => {
  const address = parseAddress(text.replace(MAPPED, ''))
  return address.ok ? address.value : undefined
}

/**
 * Finds out who holds a connection: all users of this host come from the same addresses, and whoever has an
 * IPv6 network has all addresses in it.
 */
export class ConnectionHolders {
  #owners: SocketOwners | undefined

  /** @returns `uid 33` for a user of this host, else the IPv4 address or the /64 of an IPv6 address */
  readonly holderOf = (socket: Socket): string => {
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    const [remote, local] = [addressOf(remoteAddress), addressOf(localAddress)]
    if (remote === undefined || local === undefined) return remoteAddress ?? 'nobody'
    const uid = this.#uidOf(remote, remotePort ?? 0, local, localPort ?? 0)
    if (uid !== undefined) return `uid ${uid}`
    return remote.family === 4 ? `${remote.words[0]}` : `${remote.words[0]}:${remote.words[1]}`
  }

  /** Closes the socket by which it asks the kernel, which keeps a thread running. */
  close(): void {
    this.#owners?.close()
  }

  /** Finds the user of the other end of a connection. @returns undefined when it is not on this host */
  #uidOf({ family, words }: Address, port: number, local: Address, localPort: number): number | undefined {
    try {
      this.#owners ??= new SocketOwners({ udp: 0, close: () => {} })
      return this.#owners.tcp(family, words, port, local.words, localPort, 0)?.uid
    } catch {
      // Without a socket for the question (EMFILE), all users of this host count as one holder.
      return undefined
    }
  }
}
