import {
  HOST_LE,
  MessageBuilder,
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from 'node-netfilter-queue'
import { IPPROTO_TCP, IPPROTO_UDP } from '../core/types.js'

// include/uapi/linux/sock_diag.h: #define SOCK_DIAG_BY_FAMILY 20
const SOCK_DIAG_BY_FAMILY = 20
// include/linux/socket.h
const FAMILIES = [2, 10] as const
// include/net/tcp_states.h: TCP_LISTEN = 10; an unconnected UDP socket counts as TCP_CLOSE = 7.
const TCP_LISTEN = 10
const TCP_CLOSE = 7
const DIAG_REQUEST_LENGTH = 56
const DIAG_MESSAGE_LENGTH = 72

/** A request for all sockets of a family and protocol in one state (struct inet_diag_req_v2). */
export function diagRequest(family: number, protocol: number, state: number): Uint8Array {
  // { __u8 sdiag_family, sdiag_protocol, idiag_ext, pad; __u32 idiag_states; struct inet_diag_sockid id; }
  const body = new Uint8Array(DIAG_REQUEST_LENGTH)
  body[0] = family
  body[1] = protocol
  new DataView(body.buffer).setUint32(4, 1 << state, HOST_LE)
  return new MessageBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP).raw(body).finish()
}

/** The local port of a struct inet_diag_msg; undefined where it is cut short. */
export function localPort(view: DataView, payload: number, end: number): number | undefined {
  // { __u8 idiag_family, idiag_state, idiag_timer, idiag_retrans; struct inet_diag_sockid { __be16 idiag_sport; ...
  return payload + DIAG_MESSAGE_LENGTH <= end ? view.getUint16(payload + 4) : undefined
}

/** Looks up which local ports have a socket that takes clients, by sock_diag(7). */
export class Listeners {
  readonly #socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, slots: 4 })

  /**
   * The ports of listening TCP sockets and of unconnected UDP sockets, as sets of port numbers.
   * @throws NetlinkError (rejects) where the kernel lacks inet_diag
   */
  async read(): Promise<{ tcp: Set<number>; udp: Set<number> }> {
    const tcp = await this.#ports(IPPROTO_TCP, TCP_LISTEN)
    const udp = await this.#ports(IPPROTO_UDP, TCP_CLOSE)
    return { tcp, udp }
  }

  close(): void {
    this.#socket.close()
  }

  async #ports(protocol: number, state: number): Promise<Set<number>> {
    const ports = new Set<number>()
    for (const family of FAMILIES) {
      const request = diagRequest(family, protocol, state)
      await this.#socket.request(request, 'listing sockets', ({ view, payload, end }) => {
        const port = localPort(view, payload, end)
        if (port !== undefined) ports.add(port)
      })
    }
    return ports
  }
}
