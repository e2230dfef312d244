/** Finds the servers of ntpd, ntpsec (ntp.conf(5)), OpenNTPD (ntpd.conf(5)) and the ntpd of BusyBox. */
import { parseAssignments } from '../mirrors/assignments.js'
import type { Files } from '../mirrors/file-reader.js'
import { globPaths, IncludedFiles } from '../mirrors/paths.js'
import { linesOf } from '../mirrors/source-lines.js'
import { parseUrl } from '../mirrors/url.js'
import { serverLine } from './server-line.js'
import { joined, placedServer, type TimeService } from './time-server.js'

/** The files of ntpd and ntpsec, and those that DHCP clients make of a lease. */
const NTPD = [
  '/etc/ntpsec/ntp.conf',
  '/etc/ntpsec/ntp.d/*.conf',
  '/etc/ntp.conf',
  '/etc/ntp.d/*.conf',
  '/run/ntpsec/ntp.conf.dhcp',
  '/var/lib/ntpsec/ntp.conf.dhcp',
  '/run/ntp.conf.dhcp',
  '/var/lib/ntp/ntp.conf.dhcp',
]
const OPENNTPD = ['/etc/openntpd/ntpd.conf', '/etc/ntpd.conf', '/usr/local/etc/ntpd.conf']
/** The file in which OpenRC has the options of the ntpd of BusyBox. */
const BUSYBOX = '/etc/conf.d/ntpd'
const HTTPS_PORT = 443

export function readNtpd(files: Files): TimeService {
  const included = new IncludedFiles(files)
  return joined(NTPD.flatMap((pattern) => globPaths(files, pattern)).map((path) => read(path, included)))
}

function read(path: string, included: IncludedFiles): TimeService {
  const file = included.read(path)
  if (!file) return { ntp: [], tls: [] }
  const services = linesOf(file.text).flatMap(({ text, line }) => {
    const other = /^\s*includefile\s+"?([^\s"]+)/.exec(text)?.[1]
    return other === undefined ? (serverLine(text, file.at(line)) ?? []) : read(other, included)
  })
  return joined(services)
}

/** Reads `server`, `servers` and the hosts over HTTPS of `constraint` and `constraints` lines. */
export function readOpenntpd(files: Files): TimeService {
  const services = OPENNTPD.flatMap((path) => {
    const file = files.leaf(path)
    return linesOf(file.text).map(({ text, line }): TimeService => {
      const server = /^\s*servers?\s+"?([^\s"#]+)/.exec(text)?.[1]
      const origin = file.at(line)
      return {
        ntp: server === undefined ? [] : placedServer(server, undefined, origin),
        tls: constraintsOf(text).flatMap(({ host, port }) => placedServer(host, port, origin)),
      }
    })
  })
  return joined(services)
}

/**
 * Reads `constraint from "https://host/" [address...]`; the addresses, where given, are called in its place.
 */
function constraintsOf(line: string): { host: string; port: number }[] {
  const [, written = '', rest = ''] = /^\s*constraints?\s+from\s+"?([^\s"#]+)"?([^#]*)/.exec(line) ?? []
  const url = parseUrl(written.includes('://') ? written : `https://${bracketed(written)}`)
  if (!url.ok) return []
  const port = url.value.port ?? HTTPS_PORT
  const addresses = rest.split(/[\s"]+/).filter((word) => word !== '')
  return (addresses.length > 0 ? addresses : [url.value.host]).map((host) => ({ host, port }))
}

const bracketed = (host: string) => (/^[\da-f]*:[\da-f:.]*$/i.test(host) ? `[${host}]` : host)

/** Reads the peers of `NTPD_OPTS="-N -p time.example.org"`. */
export function readBusybox(files: Files): TimeService {
  const file = files.leaf(BUSYBOX)
  const ntp = parseAssignments(file.text).flatMap(({ text, line }) =>
    [...text.matchAll(/(?:^|\s)-\w*p\s*(?:keyno:\d+:)?(\S+)/g)].flatMap(([, host]) =>
      placedServer(host!, undefined, file.at(line)),
    ),
  )
  return { ntp, tls: [] }
}
