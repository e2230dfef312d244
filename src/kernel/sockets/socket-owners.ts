import { NETLINK_SOCK_DIAG, NetlinkError, NetlinkSocket } from 'node-netfilter-queue/system'
import { type Family, IPPROTO_UDP } from '../../core/packet/ip.js'
import { LookUp } from './look-up-wire.js'
import { SocketCount } from './socket-count.js'
import {
  callerOf,
  isSending,
  ownerOf,
  portOf,
  type SocketOwner,
  senderOf,
  UdpPortQuestion,
} from './socket-owner-wire.js'

/** The kernel sends no more in one part of a dump: bytes. */
const PART_LENGTH = 32_768
/**
 * A port that more sockets share is not searched: a user who opens very many must not take the time of
 * others.
 */
const SHARING_AT_MOST = 1024
/** For one port the kernel goes through all UDP sockets without a pause: this many take 20 milliseconds. */
const SEARCHED_AT_MOST = 100_000

/** Both ends of an outgoing packet, the local one first, and the device that it leaves by. */
type Ends = Parameters<LookUp['set']>

/**
 * Asks the kernel for the owner of a socket, by sock_diag(7). The kernel answers at once: nothing here waits.
 * A socket for which it has no answer counts as not there.
 */
export class SocketOwners {
  #socket = openSocket()
  readonly #count: Pick<SocketCount, 'udp' | 'close'>
  readonly #connection = new LookUp()
  readonly #receiver = new LookUp(IPPROTO_UDP)
  readonly #ports = { 4: new UdpPortQuestion(4), 6: new UdpPortQuestion(6) }
  readonly #answer = new Uint8Array(PART_LENGTH)
  readonly #view = new DataView(this.#answer.buffer)

  constructor(count: Pick<SocketCount, 'udp' | 'close'> = new SocketCount()) {
    this.#count = count
  }

  /**
   * Finds the TCP socket with these two ends. Takes a few microseconds.
   * @param device index of the device that the packet leaves by
   */
  tcp(...[family, local, localPort, remote, remotePort, device]: Ends): SocketOwner | undefined {
    this.#connection.set(family, local, localPort, remote, remotePort, device)
    return this.#lookUp(this.#connection, callerOf)
  }

  /**
   * Finds the UDP socket that would receive an answer to a packet, if it has a packet on the way: mostly the
   * sender. Takes a few microseconds.
   * @param device index of the device that the packet leaves by
   */
  udpReceiver(...[family, local, localPort, remote, remotePort, device]: Ends): SocketOwner | undefined {
    this.#receiver.set(family, remote, remotePort, local, localPort, device)
    return this.#lookUp(this.#receiver, senderOf)
  }

  /**
   * Finds the UDP sockets with a local port that have a packet on the way: any of them may have sent the
   * packet that waits for its verdict. A program may choose the source address of each packet (IP_PKTINFO),
   * and several sockets may share a port (SO_REUSEADDR, SO_REUSEPORT, another local address). A socket
   * without a packet on the way is not the sender: the sender may have closed its socket meanwhile, and must
   * not pass for another user with the same port. Takes tens of microseconds, and more when this host has
   * very many UDP sockets.
   * @returns undefined when the kernel does not answer, or there are too many sockets
   */
  udp(family: Family, port: number): SocketOwner[] | undefined {
    if (this.#count.udp > SEARCHED_AT_MOST) return undefined
    const found: SocketOwner[] = []
    let sharing = 0
    return this.#try(() => {
      // An IPv6 socket can send over IPv4, but not the other way round.
      for (const question of family === 4 ? [this.#ports[4], this.#ports[6]] : [this.#ports[6]]) {
        question.set(port)
        this.#socket.exchangeDump(
          question.message,
          this.#answer,
          'asking for a port',
          ({ view, payload, end }) => {
            const owner = ownerOf(view, payload, end)
            if (owner === undefined || portOf(view, payload) !== port) return
            if (isSending(view, payload)) found.push(owner)
            if (++sharing > SHARING_AT_MOST) throw new TooMany()
          },
        )
      }
      return found
    })
  }

  close(): void {
    this.#socket.close()
    this.#count.close()
  }

  #lookUp({ message }: LookUp, ownerIn: typeof callerOf): SocketOwner | undefined {
    return this.#try(() =>
      ownerIn(this.#view, this.#socket.exchange(message, this.#answer, 'asking for a socket')),
    )
  }

  /**
   * Runs a request. After an error the socket is replaced, since the rest of its answer would be taken for
   * the next one. Without a new socket (EMFILE) there is no answer for now.
   */
  #try<T>(ask: () => T): T | undefined {
    try {
      if (this.#socket.closed) this.#socket = openSocket()
      return ask()
    } catch (error) {
      if (!(error instanceof NetlinkError || error instanceof TooMany)) throw error
      this.#socket.close()
      return undefined
    }
  }
}

class TooMany extends Error {}

const openSocket = () => new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, slots: 1, slotSize: PART_LENGTH })
