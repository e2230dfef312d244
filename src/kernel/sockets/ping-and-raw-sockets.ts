/**
 * Finds ping and raw sockets, which sock_diag(7) does not list on every kernel, in the files of /proc/net.
 */
import { type Family, IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../../core/packet/ip.js'
import { linesOf } from '../proc/bounded-reads.js'

// include/uapi/linux/in.h: sockets of this protocol write the IP header themselves, with any protocol in it.
const IPPROTO_RAW = 255

/**
 * Columns of /proc/net/icmp and /proc/net/raw (net/ipv4/ping.c: ping_v4_format_sock; net/ipv4/raw.c:
 * raw_sock_seq_show).
 */
const LOCAL = 1
/** TX:RX queues: bytes. */
const QUEUES = 4
const UID = 7
const INODE = 9

/**
 * Finds the sockets of a user that may have sent a packet that is neither TCP nor UDP: ping sockets with its
 * identifier, else raw sockets of its protocol; only those with a packet on the way, see SocketOwners.
 * @param identifier of an echo request (RFC 792, RFC 4443), 0 for other packets
 * @param isLate is called again and again; once it returns true, no socket is found
 * @returns inodes
 */
export function otherSockets(
  family: Family,
  protocol: number,
  identifier: number,
  uid: number,
  isLate: () => boolean,
): Set<number> {
  const sockets = (file: string, number: number) => inodesIn(file, number, uid, isLate)
  const suffix = family === 4 ? '' : '6'
  const isPing = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6
  const pinging = isPing ? sockets(`/proc/net/icmp${suffix}`, identifier) : new Set<number>()
  if (pinging.size > 0) return pinging
  const raw = `/proc/net/raw${suffix}`
  return new Set([...sockets(raw, protocol), ...sockets(raw, IPPROTO_RAW)])
}

/**
 * Finds sockets in a file. The second part of the local end is the identifier of ping, or the protocol of a
 * raw socket.
 */
function inodesIn(file: string, number: number, uid: number, isLate: () => boolean): Set<number> {
  const suffix = `:${number.toString(16).toUpperCase().padStart(4, '0')}`
  const rows = linesOf(file, isLate).map((line) => line.trim().split(/\s+/))
  return new Set(
    rows
      .filter((row) => row[LOCAL]?.endsWith(suffix) && Number(row[UID]) === uid && isSending(row[QUEUES]!))
      .map((row) => Number(row[INODE])),
  )
}

const isSending = (queues: string) => !queues.startsWith('00000000:')
