import {
  HOST_LE,
  MessageBuilder,
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from 'node-netfilter-queue'
import { type Family, IPPROTO_TCP, IPPROTO_UDP, type Words } from '../core/types.js'

// include/uapi/linux/sock_diag.h: #define SOCK_DIAG_BY_FAMILY 20
const SOCK_DIAG_BY_FAMILY = 20
// include/linux/socket.h
const AF_INET6 = 10
const FAMILIES = [2, AF_INET6] as const
// include/net/tcp_states.h: TCP_ESTABLISHED = 1, TCP_LISTEN = 10; an unconnected UDP socket counts as TCP_CLOSE = 7.
const TCP_ESTABLISHED = 1
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

/** Both ends of a TCP connection of this host. */
export interface Connection {
  readonly family: Family
  readonly local: Words
  readonly localPort: number
  readonly remote: Words
  readonly remotePort: number
}

/** The ends in a struct inet_diag_msg; undefined where it is cut short. IPv4 on an IPv6 socket is told as IPv4. */
export function connectionOf(view: DataView, payload: number, end: number): Connection | undefined {
  // ... __be16 idiag_sport; __be16 idiag_dport; __be32 idiag_src[4]; __be32 idiag_dst[4]; ...
  if (payload + DIAG_MESSAGE_LENGTH > end) return undefined
  const words = (at: number) =>
    Uint32Array.from([0, 4, 8, 12], (offset) => view.getUint32(payload + at + offset))
  const [local, remote] = [words(8), words(24)]
  const ports = { localPort: view.getUint16(payload + 4), remotePort: view.getUint16(payload + 6) }
  const ipv4 = (word: number) => Uint32Array.of(word, 0, 0, 0)
  if (view.getUint8(payload) !== AF_INET6)
    return { family: 4, local: ipv4(local[0]!), remote: ipv4(remote[0]!), ...ports }
  // RFC 4291, 2.5.5.2: ::ffff:0:0/96
  const mapped = remote[0] === 0 && remote[1] === 0 && remote[2] === 0xffff
  if (mapped) return { family: 4, local: ipv4(local[3]!), remote: ipv4(remote[3]!), ...ports }
  return { family: 6, local, remote, ...ports }
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

  /** All established TCP connections. @throws NetlinkError (rejects) */
  async connections(): Promise<Connection[]> {
    const found: Connection[] = []
    for (const family of FAMILIES) {
      const request = diagRequest(family, IPPROTO_TCP, TCP_ESTABLISHED)
      await this.#socket.request(request, 'listing connections', ({ view, payload, end }) => {
        const connection = connectionOf(view, payload, end)
        if (connection) found.push(connection)
      })
    }
    return found
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
