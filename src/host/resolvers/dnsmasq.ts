/** Finds the servers that dnsmasq asks (dnsmasq(8)). */
import { basename, join } from 'node:path'
import type { Files } from '../mirrors/file-reader.js'
import { globPaths, IncludedFiles } from '../mirrors/paths.js'
import { linesOf } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { portOf } from '../server-address.js'
import {
  type LocalResolver,
  NAMES_NONE,
  placedUpstream,
  UNREADABLE,
  type Upstream,
} from './local-resolver.js'

const MAIN = '/etc/dnsmasq.conf'
/** Folders that Debian and NetworkManager have dnsmasq read, and the endings that are left out there. */
const FOLDERS = ['/etc/dnsmasq.d', '/etc/NetworkManager/dnsmasq.d']
const NOT_READ = ['.dpkg-dist', '.dpkg-old', '.dpkg-new']
/** Where resolvconf and NetworkManager write the servers of leases for dnsmasq. */
const LEASES = ['/run/dnsmasq/resolv.conf', '/run/NetworkManager/no-stub-resolv.conf']

export function readDnsmasq(files: Files): LocalResolver | undefined {
  const dnsmasq = new Dnsmasq(files)
  dnsmasq.read(MAIN)
  for (const folder of FOLDERS) dnsmasq.folder(folder, NOT_READ)
  return dnsmasq.result()
}

class Dnsmasq {
  readonly #files: Files
  readonly #included: IncludedFiles
  readonly #upstreams: Placed<Upstream>[] = []
  readonly #resolvFiles: string[] = []
  #isThere = false
  #isUnreadable = false
  #readsResolvFiles = true

  constructor(files: Files) {
    this.#files = files
    this.#included = new IncludedFiles(files)
  }

  /** Reads a file, and those that it names. */
  read(path: string): void {
    const file = this.#files.exists(path) ? this.#included.read(path) : undefined
    if (!file) return
    this.#isThere = true
    this.#isUnreadable ||= file.isUnreadable
    for (const { text, line } of linesOf(file.text)) {
      const setting = text.replace(/(?:^|\s)#.*$/, '')
      const [, key = '', value = ''] = /^\s*([a-z-]+)\s*(?:=\s*(.*?)\s*)?$/.exec(setting) ?? []
      if (key === 'server' || key === 'rev-server') this.#server(key, value, file.at(line))
      else if (key === 'no-resolv') this.#readsResolvFiles = false
      else if (key === 'resolv-file') this.#resolvFiles.push(value)
      else if (key === 'conf-file' || key === 'servers-file')
        for (const each of globPaths(this.#files, value)) this.read(each)
      else if (key === 'conf-dir') this.#confDir(value)
    }
  }

  /** Reads a folder. @param endings left out, or with a star the only ones: `*.conf` */
  folder(path: string, endings: readonly string[]): void {
    const only = endings.filter((each) => each.startsWith('*')).map((each) => each.slice(1))
    const not = endings.filter((each) => !each.startsWith('*'))
    for (const each of this.#files.list(path, /^[^.#].*[^~]$|^[^.#~]$/s)) {
      const name = basename(each)
      if (not.some((ending) => ending !== '' && name.endsWith(ending))) continue
      if (only.length === 0 || only.some((ending) => name.endsWith(ending))) this.read(join(path, name))
    }
  }

  #confDir(value: string): void {
    const [folder = '', ...endings] = value.split(',')
    if (folder.startsWith('/')) this.folder(folder, endings)
  }

  /** Reads `[/domain/]192.0.2.53[#port][@source]`; the reverse form has a network before the address. */
  #server(key: string, value: string, origin: LocalResolver['origin']): void {
    const written = key === 'server' ? value.replace(/^\/.*\//s, '') : value.replace(/^[^,]*,/, '')
    const [host = '', port] = written.replace(/@.*$/s, '').split('#')
    this.#upstreams.push(...placedUpstream({ host, port: portOf(port) }, origin))
  }

  result(): LocalResolver | undefined {
    if (!this.#isThere) return undefined
    const upstreams = [...this.#upstreams, ...(this.#readsResolvFiles ? this.#ofLeases() : [])]
    const gap = this.#isUnreadable ? UNREADABLE : upstreams.length === 0 ? NAMES_NONE : undefined
    return { program: 'dnsmasq', upstreams, gap, origin: this.#files.leaf(MAIN).at() }
  }

  #ofLeases(): Placed<Upstream>[] {
    return [...this.#resolvFiles, ...LEASES].flatMap((path) => {
      const file = this.#files.leaf(path)
      return linesOf(file.text).flatMap(({ text, line }) => {
        const host = /^\s*nameserver\s+([^\s#;]+)/.exec(text)?.[1]
        return host === undefined ? [] : placedUpstream({ host }, file.at(line))
      })
    })
  }
}
