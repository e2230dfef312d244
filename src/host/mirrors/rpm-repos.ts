import type { Origin } from '../../core/policy/origin.js'
import type { TextFile } from './file-reader.js'
import type { Section } from './ini.js'
import type { Sourced } from './mirror-collector.js'
import { isOff, wordsOf } from './source-lines.js'

/** A repository of rpm packages in a `.repo` file of dnf or zypper. */
export interface Repo {
  readonly id: string
  enabled: boolean
  baseurl: Sourced[]
  /** URLs of the lists of mirrors: `mirrorlist` and `metalink`. */
  lists: Map<string, Sourced>
  /** Empty or `_none_` means no proxy, even if one is set for all repositories. */
  proxy: Sourced | undefined
}

/** Takes over the entries of a section; a later section overrides an earlier one of the same repository. */
export function takeRepo(repo: Repo, section: Section, file: TextFile): void {
  for (const { key, value, line } of section.entries) {
    const words = value.flatMap((piece) => wordsOf(piece, /[\s,]+/))
    const sourced = words.map(({ text, line }) => ({ text, origin: file.at(line) }))
    const first: Sourced = sourced[0] ?? { text: '', origin: file.at(line) }
    if (key === 'enabled') repo.enabled = !isOff(first.text)
    else if (key === 'baseurl') repo.baseurl = sourced
    else if (key === 'proxy') repo.proxy = first
    else if (key === 'mirrorlist' || key === 'metalink') repo.lists.set(key, first)
  }
}

export const emptyRepo = (id: string): Repo => ({
  id,
  enabled: true,
  baseurl: [],
  lists: new Map(),
  proxy: undefined,
})

/** Returns a proxy, or undefined when its text says that there is none. */
export const someProxy = (proxy: Sourced | undefined): Sourced | undefined =>
  proxy === undefined || proxy.text === '' || proxy.text === '_none_' ? undefined : proxy

/** Makes a note on a list of mirrors that has not been fetched yet. */
export const unknownMirrors = (origin: Origin, key: string): [Origin, string] => [
  origin,
  `which mirrors this ${key} names is not known before it was fetched once: name them in mirrors.hosts, or a baseurl`,
]
