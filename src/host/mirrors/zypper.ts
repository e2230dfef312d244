/** Finds the mirrors of zypper in the files of libzypp (zypper(8)). */
import { basename } from 'node:path'
import type { Origin } from '../../core/policy/origin.js'
import { assignment, parseAssignments } from './assignments.js'
import { readVariables } from './dnf.js'
import type { Files, TextFile } from './file-reader.js'
import { lastValue, parseIni, type Section } from './ini.js'
import type { MirrorCollector, Sourced, Target } from './mirror-collector.js'
import { isMetalink, localList, parseMetalink, parseMirrorList } from './mirror-list.js'
import { emptyRepo, type Repo, someProxy, takeRepo, unknownMirrors } from './rpm-repos.js'
import { isOff } from './source-lines.js'
import { expand, type Variables } from './variables.js'

/** The folder where libzypp caches the metadata of each repository, in a folder of its name. */
const CACHE = '/var/cache/zypp/raw'
const LISTS = ['mirrorlist.txt', 'mirrorlist.xml']

export function discoverZypper(files: Files, found: MirrorCollector): void {
  const zypper = new Zypper(files, found)
  for (const path of files.list('/etc/zypp/repos.d', /\.repo$/)) zypper.repos(files.read(path))
  for (const path of files.list('/etc/zypp/services.d', /\.service$/)) zypper.services(files.leaf(path))
}

class Zypper {
  readonly #files: Files
  readonly #found: MirrorCollector
  readonly #variables: Variables
  readonly #proxyOf: (target: Target) => Sourced | undefined
  readonly #lists: readonly { readonly id: string; readonly urls: readonly Sourced[] }[]

  constructor(files: Files, found: MirrorCollector) {
    this.#files = files
    this.#found = found
    this.#variables = readVariables(files, ['/etc/zypp/vars.d'])
    this.#proxyOf = readProxies(files)
    this.#lists = readLists(files)
  }

  repos(file: TextFile): void {
    for (const section of named(file)) {
      const repo = emptyRepo(section.name)
      takeRepo(repo, section, file)
      // Each baseurl line counts; of other keys only the last line.
      repo.baseurl = section.entries
        .filter(({ key }) => key === 'baseurl')
        .flatMap(({ value }) => value.map(({ text, line }) => ({ text, origin: file.at(line) })))
        .filter(({ text }) => text !== '')
      if (repo.enabled) this.#repo(repo)
    }
  }

  #repo(repo: Repo): void {
    for (const { text, origin } of repo.baseurl) this.#url(text, origin, someProxy(repo.proxy))
    for (const [key, { text, origin }] of repo.lists) {
      if (text === '') continue
      this.#url(text, origin)
      const own = localList(expand(text, this.#variables))
      const lists =
        own === undefined ? this.#lists.filter(({ id }) => id === repo.id) : [listOf(this.#files.leaf(own))]
      const mirrors = lists.flatMap(({ urls }) => urls)
      for (const mirror of mirrors) this.#url(mirror.text, mirror.origin, undefined, true)
      if (mirrors.length === 0 && repo.baseurl.length === 0) this.#found.note(...unknownMirrors(origin, key))
    }
  }

  services(file: TextFile): void {
    for (const section of named(file)) {
      const url = section.entries.findLast(({ key }) => key === 'url')
      if (!url || isOff(lastValue(section, 'enabled') ?? '1')) continue
      this.#url(url.value[0]!.text, file.at(url.line))
    }
  }

  /**
   * Adds a URL. Its own `?proxy=...&proxyport=...` comes before the proxy of its repository, and that before
   * all others.
   */
  #url(text: string, origin: Origin, proxy?: Sourced, quiet = false): void {
    const url = expand(text, this.#variables)
    const target = this.#found.target(url, origin, quiet)
    if (target)
      this.#found.reach('zypper', target, origin, own(url, origin) ?? proxy ?? this.#proxyOf(target))
  }
}

const named = (file: TextFile): Section[] => parseIni(file.text).filter(({ name }) => name !== '')

function own(url: string, origin: Origin): Sourced | undefined {
  const query = new URLSearchParams(/\?([^#]*)/.exec(url)?.[1] ?? '')
  const port = query.get('proxyport')
  const proxy = query.get('proxy')
  return someProxy(proxy === null ? undefined : { text: port ? `${proxy}:${port}` : proxy, origin })
}

/** Reads the proxies of the whole host, which YaST writes. */
function readProxies(files: Files): (target: Target) => Sourced | undefined {
  const file = files.leaf('/etc/sysconfig/proxy')
  const settings = parseAssignments(file.text)
  const value = (name: string) => assignment(settings, name)
  if ((value('PROXY_ENABLED')?.text ?? 'no') === 'no') return () => undefined
  const direct = (value('NO_PROXY')?.text ?? '').split(/[\s,]+/)
  return ({ scheme, host }) => {
    const proxy = value(`${scheme.toUpperCase()}_PROXY`)
    if (!proxy || direct.some((domain) => isWithin(host, domain.toLowerCase()))) return undefined
    return someProxy({ text: proxy.text, origin: file.at(proxy.line) })
  }
}

/** Whether a host is a domain of NO_PROXY or below one. */
function isWithin(host: string, written: string): boolean {
  const domain = written.replace(/^\*?\./, '')
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`))
}

function readLists(files: Files): { id: string; urls: Sourced[] }[] {
  return files
    .list(CACHE, /^[^.]/)
    .flatMap((folder) =>
      LISTS.map((name) => ({ id: basename(folder), ...listOf(files.leaf(`${folder}/${name}`)) })),
    )
}

/** Reads a list of mirrors, of either form. */
function listOf(file: TextFile): { urls: Sourced[] } {
  const parse = isMetalink(file.text) ? parseMetalink : parseMirrorList
  return { urls: parse(file.text).map(({ text, line }) => ({ text, origin: file.at(line) })) }
}
