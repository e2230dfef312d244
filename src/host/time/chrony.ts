/** Finds the servers of chrony (chrony.conf(5)). */
import type { Files, TextFile } from '../mirrors/file-reader.js'
import { globPaths, IncludedFiles, masked } from '../mirrors/paths.js'
import { linesOf } from '../mirrors/source-lines.js'
import { serverLine } from './server-line.js'
import { joined, type TimeService } from './time-server.js'

const MAIN = ['/etc/chrony/chrony.conf', '/etc/chrony.conf']
/** A DHCP client of older systems writes here the servers of its leases, without the word before them. */
const LEASES = '/var/lib/dhclient'
const LEASE_FILE = /^chrony\.servers\.[\w.:-]+$/
/** Directives and what they name: files, folders of files, and folders of files that hold only servers. */
const INCLUDE = /^\s*(include|confdir|sourcedir)\s+(.+)$/i

export function readChrony(files: Files): TimeService {
  const included = new IncludedFiles(files)
  const leases = files.list(LEASES, LEASE_FILE).map((path) => serversOf(files.leaf(path), 'server '))
  return joined([...MAIN.map((path) => read(path, files, included)), ...leases])
}

/** Reads a file: first its own servers, then those of the files that it names. */
function read(path: string, files: Files, included: IncludedFiles): TimeService {
  const file = included.read(path)
  if (!file) return { ntp: [], tls: [] }
  const others = linesOf(file.text).flatMap(({ text }) => {
    const [, directive = '', places = ''] = INCLUDE.exec(text) ?? []
    if (/^include$/i.test(directive)) {
      return globPaths(files, places.trim()).map((each) => read(each, files, included))
    }
    const folders = places.split(/\s+/).filter((folder) => folder.startsWith('/'))
    if (/^confdir$/i.test(directive))
      return masked(files, folders, /\.conf$/).map((each) => read(each, files, included))
    return masked(files, folders, /\.sources$/).map((each) => serversOf(files.leaf(each)))
  })
  return joined([serversOf(file), ...others])
}

/** Reads the lines of a file that name servers. @param before is put before each line */
const serversOf = (file: TextFile, before = ''): TimeService =>
  joined(linesOf(file.text).flatMap(({ text, line }) => serverLine(before + text, file.at(line)) ?? []))
