/** Parses texts of /proc, systemd, iproute2 and chrony. Pure. */

/** A queue, and the netlink port of the socket that serves it. */
export interface BoundQueue {
  readonly number: number
  readonly port: number
}

/**
 * Parses /proc/net/netfilter/nfnetlink_queue: a line a queue; its first two columns are its number and the
 * port of its peer.
 */
export const parseQueues = (text: string): BoundQueue[] =>
  text.split('\n').flatMap((line) => {
    const [number, port] = line.trim().split(/\s+/).map(Number)
    return number !== undefined && port !== undefined ? [{ number, port }] : []
  })

/** include/uapi/linux/netlink.h */
const NETLINK_NETFILTER = 12

/** Finds in /proc/net/netlink the inode of the netfilter socket with a netlink port ("Pid"). */
export function inodeOfPort(text: string, port: number): number | undefined {
  for (const line of text.split('\n')) {
    const columns = line.trim().split(/\s+/)
    if (Number(columns[1]) === NETLINK_NETFILTER && Number(columns[2]) === port) return Number(columns[9])
  }
  return undefined
}

/** include/uapi/linux/net.h: #define __SO_ACCEPTCON (1 << 16), in column "Flags" of /proc/net/unix. */
const SO_ACCEPTCON = 0x10000

/**
 * Finds in /proc/net/unix the inode of the socket that listens at a path. Columns: Num RefCount Protocol
 * Flags Type St Inode Path.
 */
export function inodeOfListener(text: string, path: string): number | undefined {
  for (const line of text.split('\n')) {
    const [, , , flags, , , inode, ...rest] = line.split(' ').filter((column) => column !== '')
    if (rest.join(' ') === path && (Number.parseInt(flags!, 16) & SO_ACCEPTCON) !== 0) return Number(inode)
  }
  return undefined
}

/** Returns a field of /proc/PID/status. */
export const statusField = (text: string, name: string): string | undefined =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1]

/** include/uapi/linux/capability.h */
export const CAPABILITIES = {
  CAP_DAC_READ_SEARCH: 2,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_PTRACE: 19,
} as const
export type Capability = keyof typeof CAPABILITIES

/** Returns the effective capabilities in /proc/PID/status, as far as CAPABILITIES names them. */
export function capabilitiesOf(status: string): Set<Capability> {
  const bits = BigInt(`0x${statusField(status, 'CapEff') ?? '0'}`)
  const names = Object.keys(CAPABILITIES) as Capability[]
  return new Set(names.filter((name) => (bits >> BigInt(CAPABILITIES[name])) & 1n))
}

/** Parses the output of `systemctl show`: KEY=VALUE. */
export const parseProperties = (text: string): Map<string, string> =>
  new Map(
    text.split('\n').flatMap((line) => {
      const equals = line.indexOf('=')
      return equals > 0 ? [[line.slice(0, equals), line.slice(equals + 1)] as const] : []
    }),
  )

/**
 * Returns the capabilities of a unit's process: root has the bounding set, other users have the ambient set.
 */
export function capabilitiesOfUnit(properties: ReadonlyMap<string, string>): Set<Capability> {
  const of = (key: string) => new Set((properties.get(key) ?? '').toUpperCase().split(/\s+/))
  const [bounding, ambient] = [of('CapabilityBoundingSet'), of('AmbientCapabilities')]
  const isRoot = ['', 'root', '0'].includes(properties.get('User') ?? '')
  const names = Object.keys(CAPABILITIES) as Capability[]
  return new Set(names.filter((name) => bounding.has(name) && (isRoot || ambient.has(name))))
}

/** A rule of `ip -j rule`, with a mark. */
export interface MarkRule {
  readonly priority: number
  readonly mark: string
  /** The bits that are compared. */
  readonly mask: number
}

/** @throws SyntaxError when the text is no JSON */
export function parseIpRules(text: string): MarkRule[] {
  const rules = (text.trim() === '' ? [] : JSON.parse(text)) as Readonly<Record<string, unknown>>[]
  return rules.flatMap(({ priority, fwmark, fwmask }) =>
    typeof fwmark === 'string'
      ? [{ priority: Number(priority), mark: fwmark, mask: Number(fwmask ?? 0xffffffff) }]
      : [],
  )
}

/**
 * Reads the leap status, the last field of `chronyc -c tracking` (chronyc(1)). Returns undefined for any
 * other text.
 */
export function isChronySynchronised(text: string): boolean | undefined {
  const fields = text.trim().split(',')
  return fields.length < 14 ? undefined : fields.at(-1) !== 'Not synchronised'
}
