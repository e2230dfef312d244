import { IPPROTO_TCP } from '../core/packet/ip.js'
import { type Packet, TCPHDR_SYN } from '../core/packet/packet.js'
import type { Sender } from '../core/packet/sender.js'
import { type Inbound, isOpened } from '../core/session/client-replies.js'
import { ConnectionAborter, type EndedConnection } from '../kernel/sockets/connection-aborter.js'

/**
 * Ends the connections of this host that are cut: a packet in the middle of them was blocked. Without that both ends would
 * wait for each other, and the other end would keep its place for the connection.
 */
export class CutConnections {
  readonly #aborter = new ConnectionAborter()
  readonly #cut: EndedConnection[] = []

  /**
   * Notes the connection of a blocked packet.
   * @param uid its user id, or -1 @param device index of the device that it leaves by
   * @returns whether the connection will be ended; then the packet needs no refusal, which would end one side only
   */
  note(packet: Packet, { uid, device }: Pick<Sender, 'uid' | 'device'>, inbound: Inbound): boolean {
    const { family, source, sourcePort, destination, destinationPort } = packet
    if (!this.#aborter.isSupported || !isInTheMiddle(packet) || isOfClient(packet, inbound)) return false
    const ends = { local: source.slice(), localPort: sourcePort, remote: destination.slice() }
    this.#cut.push({ family, ...ends, remotePort: destinationPort, device, uid })
    return true
  }

  /** Ends the noted connections. To be called when their packets have their verdicts. */
  end(): void {
    for (const connection of this.#cut.splice(0)) this.#aborter.abort(connection)
  }

  close(): void {
    this.#aborter.close()
  }
}

const isInTheMiddle = ({ protocol, tcpFlags }: Packet) =>
  protocol === IPPROTO_TCP && (tcpFlags & TCPHDR_SYN) === 0

/** Whether a packet may be a reply to a client: its connection outlives a wrong verdict. */
const isOfClient = (packet: Packet, inbound: Inbound) =>
  inbound.services.tcp[packet.sourcePort] === 1 && !isOpened(packet, inbound)
