import { NETLINK_SOCK_DIAG, NetlinkError, NetlinkSocket } from 'node-netfilter-queue/system'
import { type Family, IPPROTO_UDP } from '../../core/packet/ip.js'
import { LookUp } from './sock-diag-wire.js'
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

/** What the kernel sends in one part of a dump. */
const PART_LENGTH = 32_768
/** Where more share one port, it is not told which has sent a packet: whoever opens very many must not take the time of others. */
const SHARING_AT_MOST = 1024
/** The kernel looks through all UDP sockets for those of a port, without a pause: 20 milliseconds for so many. */
const SEARCHED_AT_MOST = 100_000

/** Both ends of a packet that leaves, the local one first, and the device that it leaves by. */
type Ends = Parameters<LookUp['set']>

/**
 * Asks the kernel whose a socket is, by sock_diag(7). The kernel answers at once: nothing here waits. What it does not
 * answer is not there.
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
   * The TCP socket with these two ends. A few microseconds.
   * @param device index of the device that the packet leaves by
   */
  tcp(...[family, local, localPort, remote, remotePort, device]: Ends): SocketOwner | undefined {
    this.#connection.set(family, local, localPort, remote, remotePort, device)
    return this.#lookUp(this.#connection, callerOf)
  }

  /**
   * The UDP socket that an answer to a packet would be for, if it has something on its way: mostly the one that has sent it.
   * A few microseconds.
   * @param device index of the device that the packet leaves by
   */
  udpReceiver(...[family, local, localPort, remote, remotePort, device]: Ends): SocketOwner | undefined {
    this.#receiver.set(family, remote, remotePort, local, localPort, device)
    return this.#lookUp(this.#receiver, senderOf)
  }

  /**
   * The UDP sockets with a local port that have something on its way: any of them may have sent a packet from there that
   * waits for its verdict. A program may choose the source address of each (IP_PKTINFO), and several may share a port
   * (SO_REUSEADDR, SO_REUSEPORT, another local address). Whoever has nothing on its way has not sent it: the sender may have
   * closed its socket meanwhile, and must not pass for one who has the same port. Tens of microseconds, and more where this
   * host has very many UDP sockets.
   * @returns undefined where the kernel does not tell, or of too many
   */
  udp(family: Family, port: number): SocketOwner[] | undefined {
    if (this.#count.udp > SEARCHED_AT_MOST) return undefined
    const found: SocketOwner[] = []
    let sharing = 0
    return this.#try(() => {
      // A socket of IPv6 can send over IPv4, but not the other way round.
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
   * What was not taken of an answer would be in the way of the next one: then a new socket asks that. Where none can be had
   * (EMFILE), the kernel tells nothing for now.
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
