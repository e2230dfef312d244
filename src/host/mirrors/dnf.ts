/** Finds the mirrors of dnf and yum (dnf.conf(5), dnf5.conf(5), yum.conf(5)). */
import { basename } from 'node:path'
import type { Files, TextFile } from './file-reader.js'
import { lastValue, parseIni, type Section } from './ini.js'
import type { MirrorCollector, Sourced } from './mirror-collector.js'
import { isMetalink, localList, parseMetalink, parseMirrorList } from './mirror-list.js'
import { masked } from './paths.js'
import { emptyRepo, type Repo, someProxy, takeRepo, unknownMirrors } from './rpm-repos.js'
import { linesOf } from './source-lines.js'
import { architecture, expand, type Variables } from './variables.js'

/**
 * The main configuration files; each overrides those before it. Files of folders are in the order of their
 * names.
 */
const MAIN_FIRST = ['/etc/yum.conf']
const MAIN_FOLDERS = ['/etc/dnf/libdnf5.conf.d', '/usr/share/dnf5/libdnf.conf.d']
const MAIN_LAST = ['/etc/dnf/dnf.conf']
const REPO_FOLDERS = [
  '/etc/yum.repos.d',
  '/etc/yum/repos.d',
  '/etc/distro.repos.d',
  '/usr/share/dnf5/repos.d',
]
const OVERRIDE_FOLDERS = ['/etc/dnf/repos.override.d', '/usr/share/dnf5/repos.override.d']
const VARIABLE_FOLDERS = ['/usr/share/dnf5/vars.d', '/etc/yum/vars', '/etc/dnf/vars']
const CACHES = ['/var/cache/dnf', '/var/cache/libdnf5']
/** yum's cache has folders of architecture and release: `/var/cache/yum/x86_64/7/base/`. */
const YUM_CACHE = '/var/cache/yum'

export function discoverDnf(files: Files, found: MirrorCollector): void {
  const main = readMain(files)
  const variables = readVariables(files, main.folders('varsdir', VARIABLE_FOLDERS))
  const fetched = readFetched(files, main.folders('cachedir', CACHES))
  const repos = new Map<string, Repo>()
  for (const { section, file } of main.sections) if (section.name !== 'main') take(repos, section, file)
  const paths = main.folders('reposdir', REPO_FOLDERS).flatMap((folder) => files.list(folder, /\.repo$/))
  for (const path of paths) takeFile(repos, files.read(path))
  for (const path of masked(files, OVERRIDE_FOLDERS, /\.repo$/)) override(repos, files.read(path))
  for (const repo of repos.values())
    if (repo.enabled) reach(repo, { files, found, variables, fetched, proxy: main.proxy })
}

interface Main {
  readonly sections: readonly { section: Section; file: TextFile }[]
  readonly proxy: Sourced | undefined
  /** The folders of an option, or its default ones. */
  folders(option: string, defaults: readonly string[]): readonly string[]
}

function readMain(files: Files): Main {
  const paths = [...MAIN_FIRST, ...masked(files, MAIN_FOLDERS, /\.conf$/), ...MAIN_LAST]
  const sections = paths.flatMap((path) => {
    const file = files.read(path)
    return parseIni(file.text)
      .filter(({ name }) => name !== '')
      .map((section) => ({ section, file }))
  })
  const all = emptyRepo('main')
  for (const { section, file } of sections) if (section.name === 'main') takeRepo(all, section, file)
  const option = (key: string) =>
    sections.findLast(({ section }) => section.name === 'main' && lastValue(section, key))?.section
  const folders = (key: string, defaults: readonly string[]) => {
    const written = lastValue(option(key), key)?.split(/[\s,]+/) ?? []
    const usable = written.filter((path) => path.startsWith('/') && !path.includes('$'))
    return usable.length > 0 ? usable : defaults
  }
  return { sections, proxy: someProxy(all.proxy), folders }
}

function takeFile(repos: Map<string, Repo>, file: TextFile): void {
  for (const section of parseIni(file.text))
    if (section.name !== '' && section.name !== 'main') take(repos, section, file)
}

function take(repos: Map<string, Repo>, section: Section, file: TextFile): void {
  const repo = repos.get(section.name) ?? emptyRepo(section.name)
  repos.set(section.name, repo)
  takeRepo(repo, section, file)
}

/** Applies overrides. They change the repositories whose names match (`*` and `?`), and add none. */
function override(repos: ReadonlyMap<string, Repo>, file: TextFile): void {
  for (const section of parseIni(file.text)) {
    const pattern = section.name
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replace(/\*+/g, '.*')
      .replaceAll('?', '.')
    const fits = new RegExp(`^${pattern}$`, 's')
    for (const repo of repos.values()) if (fits.test(repo.id)) takeRepo(repo, section, file)
  }
}

/** Reads variables: the name of each file is a variable, its first line the value. */
export function readVariables(files: Files, folders: readonly string[]): Variables {
  const arch = architecture()
  const variables = new Map<string, string>(
    arch === undefined
      ? []
      : [
          ['arch', arch],
          ['basearch', arch],
        ],
  )
  for (const path of folders.flatMap((folder) => files.list(folder, /^\w+$/)))
    variables.set(basename(path), linesOf(files.leaf(path).text)[0]!.text.trim())
  return (name) => variables.get(name)
}

/** A list of mirrors that dnf or yum has fetched, and its repository. */
interface Fetched {
  readonly id: string
  readonly file: TextFile
}

/**
 * Finds fetched lists. dnf's folders have the repository's name and 16 digits of a hash, yum's the name
 * alone.
 */
function readFetched(files: Files, caches: readonly string[]): Fetched[] {
  const folders = caches.flatMap((cache) => files.list(cache, /-[0-9a-f]{16}$/))
  const releases = files.list(YUM_CACHE, /^\w+$/).flatMap((arch) => files.list(arch, /^[\w.-]+$/))
  const ofYum = releases.flatMap((release) => files.list(release, /^[\w.:-]+$/))
  return [...folders, ...ofYum].flatMap((folder) => {
    const id = basename(folder).replace(/-[0-9a-f]{16}$/, '')
    const lists = ['mirrorlist', 'mirrorlist.txt', 'metalink.xml'].map((name) =>
      files.leaf(`${folder}/${name}`),
    )
    return lists.map((file) => ({ id, file }))
  })
}

interface Around {
  readonly files: Files
  readonly found: MirrorCollector
  readonly variables: Variables
  readonly fetched: readonly Fetched[]
  readonly proxy: Sourced | undefined
}

function reach(repo: Repo, { files, found, variables, fetched, proxy }: Around): void {
  const way = repo.proxy === undefined ? proxy : someProxy(repo.proxy)
  const url = ({ text, origin }: Sourced, quiet = false) => {
    const target = found.target(expand(text, variables), origin, quiet)
    if (target) found.reach('dnf', target, origin, way)
  }
  for (const base of repo.baseurl) url(base)
  for (const [key, list] of repo.lists) {
    if (list.text === '') continue
    url(list)
    const own = localList(expand(list.text, variables))
    const lists = own === undefined ? fetched.filter(({ id }) => id === repo.id) : [{ file: files.leaf(own) }]
    const mirrors = lists.flatMap(urlsOf)
    for (const mirror of mirrors) url(mirror, true)
    if (mirrors.length === 0 && repo.baseurl.length === 0 && !way)
      found.note(...unknownMirrors(list.origin, key))
  }
}

/** Reads the URLs of a list: what is fetched for a `mirrorlist` may be a metalink. */
const urlsOf = ({ file }: Pick<Fetched, 'file'>): Sourced[] =>
  (isMetalink(file.text) ? parseMetalink : parseMirrorList)(file.text).map(({ text, line }) => ({
    text,
    origin: file.at(line),
  }))
