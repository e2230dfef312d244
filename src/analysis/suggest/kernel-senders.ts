/**
 * Recognizes packets that the kernel itself sends: those of tunnels and network file systems. They have no
 * user, so only an entry without users can allow them.
 */
import { protocolOf } from '../../core/packet/protocol-names.js'
import type { RecordedKind } from '../recorded/recorded-kinds.js'

/** Destination ports at which the kernel sends, by transport (IANA; 8472 is that of Linux and flannel). */
const PORTS: Readonly<Record<string, ReadonlyMap<number, string>>> = {
  udp: new Map([
    [4789, 'VXLAN'],
    [8472, 'VXLAN'],
    [6081, 'Geneve'],
    [51820, 'WireGuard'],
    [4500, 'ESP in UDP'],
    [1701, 'L2TP'],
    [4754, 'GRE in UDP'],
    [5555, 'FOU'],
    [2152, 'GTP'],
    [2049, 'NFS'],
    [111, 'NFS (portmapper)'],
  ]),
  tcp: new Map([
    [2049, 'NFS'],
    [111, 'NFS (portmapper)'],
    [20048, 'NFS (mountd)'],
    [445, 'SMB'],
    [3260, 'iSCSI'],
    [4420, 'NVMe'],
    [3300, 'Ceph'],
    [6789, 'Ceph'],
    [10809, 'NBD'],
  ]),
}

/** Protocols of tunnels, by number (IANA). */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [4, 'IPIP'],
  [41, 'SIT'],
  [47, 'GRE'],
  [50, 'ESP'],
  [51, 'AH'],
  [115, 'L2TP'],
])

/** From this number of blocks on, in no less than this time, packets without a user come again. */
const BLOCKS_AT_LEAST = 3
const MS_AT_LEAST = 10_000

/** Returns what the kernel sends to such a destination: `VXLAN`; undefined when that is not known. */
export function kernelServiceOf({
  transport = '',
  port,
}: Pick<RecordedKind, 'transport' | 'port'>): string | undefined {
  const ports = PORTS[transport]
  return ports === undefined ? PROTOCOLS.get(protocolOf(transport) ?? -1) : ports.get(port ?? 0)
}

/** Tells packets of the kernel from those whose program has ended, in the blocks of a log. */
export class KernelSenders {
  readonly #ofUsers: ReadonlySet<string>

  constructor(kinds: readonly RecordedKind[]) {
    this.#ofUsers = new Set(kinds.filter(({ uid }) => uid !== undefined).map(destinationOf))
  }

  /**
   * Whether the kernel is the sender: it sends to such ports, or such packets come again, and no user was
   * seen at the destination. What a closed TCP socket still sends comes again, too, so there only ports
   * count.
   */
  has(kind: RecordedKind): boolean {
    const { uid, user, question, transport, blocks, first, last } = kind
    if (uid !== undefined || user !== undefined || question !== undefined || transport === undefined)
      return false
    if (kernelServiceOf(kind) !== undefined) return true
    if (transport === 'tcp' || transport === 'icmp' || transport === 'ipv6-icmp') return false
    return blocks >= BLOCKS_AT_LEAST && last - first >= MS_AT_LEAST && !this.#ofUsers.has(destinationOf(kind))
  }
}

const destinationOf = ({ transport, address, port }: RecordedKind) => [transport, address, port].join(' ')
