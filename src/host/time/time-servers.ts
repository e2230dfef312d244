/** Finds the servers of the time services of this host, in their own files. */
import type { Files } from '../mirrors/file-reader.js'
import { readChrony } from './chrony.js'
import { readBusybox, readNtpd, readOpenntpd } from './ntpd.js'
import { joined, type TimeService } from './time-server.js'
import { readTimesyncd } from './timesyncd.js'

export function readTimeServers(files: Files): TimeService {
  const { servers, compiledIn } = readTimesyncd(files)
  const others = joined([readChrony(files), readNtpd(files), readOpenntpd(files), readBusybox(files)])
  const found = joined([{ ntp: servers, tls: [] }, others])
  return found.ntp.length > 0 ? found : { ...found, ntp: compiledIn }
}
