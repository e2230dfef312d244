import { NTS_PORT } from '../../core/packet/ntp.js'
import type { Origin } from '../../core/policy/origin.js'
import { portOf, splitPort } from '../server-address.js'
import { placedServer, type TimeService } from './time-server.js'

/**
 * Reads a line that names a time server, of chrony.conf(5) and ntp.conf(5): `server HOST`, `pool HOST`, `peer
 * HOST`, and options behind it. With `nts` its keys come over TLS (chrony: `ntsport`; ntpsec: a port behind
 * the host).
 */
export function serverLine(line: string, origin: Origin): TimeService | undefined {
  const words = line
    .replace(/\s#.*$/s, '')
    .trim()
    .split(/\s+/)
  if (!/^(?:server|pool|peer)$/i.test(words[0]!)) return undefined
  // `-4` and `-6` choose the family.
  const at = words.findIndex((word, index) => index > 0 && !word.startsWith('-'))
  if (at < 0) return undefined
  const options = words.slice(at + 1).map((word) => word.toLowerCase())
  const portFor = (option: string) => {
    const index = options.indexOf(option)
    return index < 0 ? undefined : portOf(options[index + 1])
  }
  const isNts = options.includes('nts')
  // An address of IPv6 has colons, and no port without brackets.
  const { host, port } = splitPort(words[at]!)
  const ntp = placedServer(host, portFor('port'), origin)
  const keys = portFor('ntsport') ?? port ?? NTS_PORT
  return { ntp, tls: isNts ? placedServer(host, keys, origin) : [] }
}
