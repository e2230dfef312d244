/** Finds the servers of systemd-timesyncd (timesyncd.conf(5), systemd.network(5)). */
import type { Origin } from '../../core/policy/origin.js'
import type { Files } from '../mirrors/file-reader.js'
import { linesOf } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { splitPort } from '../server-address.js'
import {
  folderSettings,
  listSetting,
  type SystemdSetting,
  serviceSettings,
  stockComments,
} from '../systemd-conf.js'
import { placedServer, type TimeServer } from './time-server.js'

const CONF = 'timesyncd.conf'
/** The folder where systemd-networkd keeps the state of each link: what its files and leases say. */
const LINKS = '/run/systemd/netif/links'
const NETWORKD_STATE = '/run/systemd/netif/state'

export interface Timesyncd {
  readonly servers: readonly Placed<TimeServer>[]
  /** The servers that are compiled in: they count when nothing else on the host names any. */
  readonly compiledIn: readonly Placed<TimeServer>[]
}

export function readTimesyncd(files: Files): Timesyncd {
  const settings = serviceSettings(files, CONF).filter(({ section }) => section === 'Time')
  const isFallbackSet = settings.some(({ key }) => key === 'FallbackNTP')
  return {
    servers: [
      ...listed(settings, 'NTP'),
      ...listed(settings, 'FallbackNTP'),
      ...ofLinks(files),
      ...ofNetworks(files),
    ],
    compiledIn: isFallbackSet ? [] : compiledIn(files),
  }
}

/** Reads the compiled-in servers: stock files have them in a comment. */
function compiledIn(files: Files): Placed<TimeServer>[] {
  const found = stockComments(files, CONF).flatMap(({ text, origin }) => {
    const written = /^FallbackNTP\s*=(.*)$/s.exec(text)?.[1]
    return written === undefined ? [] : serversOf(written, origin)
  })
  return found.filter(({ origin }) => origin.file === found[0]!.origin.file)
}

/** Reads the servers that systemd-networkd has for its links now. */
const ofLinks = (files: Files): Placed<TimeServer>[] =>
  [NETWORKD_STATE, ...files.list(LINKS, /^\d+$/)].flatMap((path) => {
    const file = files.leaf(path)
    return linesOf(file.text).flatMap(({ text, line }) =>
      text.startsWith('NTP=') ? serversOf(text.slice('NTP='.length), file.at(line)) : [],
    )
  })

/** Reads the servers that the files of networks name for their links. */
const ofNetworks = (files: Files): Placed<TimeServer>[] =>
  folderSettings(files, 'network', /\.network$/).flatMap((settings) =>
    listed(
      settings.filter(({ section }) => section === 'Network'),
      'NTP',
    ),
  )

const listed = (settings: readonly SystemdSetting[], key: string): Placed<TimeServer>[] =>
  listSetting(settings, key).flatMap(({ value, origin }) => serversOf(value, origin))

const serversOf = (value: string, origin: Origin): Placed<TimeServer>[] =>
  value.split(/[\s"']+/).flatMap((word) => {
    const { host, port } = splitPort(word)
    return placedServer(host, port, origin)
  })
