/** Finds the mirrors of apk (apk-repositories(5)). */
import { basename } from 'node:path'
import type { Files } from './file-reader.js'
import type { MirrorCollector } from './mirror-collector.js'
import { linesOf, type Written, wordsOf } from './source-lines.js'
import { architecture, expand } from './variables.js'

const FOLDERS = ['/etc/apk/repositories.d', '/lib/apk/repositories.d']

export function discoverApk(files: Files, found: MirrorCollector): void {
  const variables = new Map<string, string>()
  const arch = architecture()
  if (arch !== undefined) variables.set('APK_ARCH', arch)
  for (const path of ['/etc/apk/repositories', ...partsOf(files)]) {
    const file = files.leaf(path)
    for (const { text, line } of parseRepositories(file.text, variables)) {
      const target = found.target(text, file.at(line))
      if (target) found.add('apk', target, file.at(line))
    }
  }
}

/** Lists the files of repositories: a file of /etc replaces the one of its name of /lib. */
function partsOf(files: Files): string[] {
  const paths = FOLDERS.flatMap((folder) => files.list(folder, /^[^.].*\.list$/s))
  return paths.filter(
    (path, index) => paths.findIndex((other) => basename(other) === basename(path)) === index,
  )
}

/**
 * Reads the URLs of a file: of `URL`, `@tag URL`, `v3 @tag URL component...` and `ndx URL` lines.
 * @param variables gets the values of `set` lines, which later files use
 */
export function parseRepositories(text: string, variables: Map<string, string>): Written[] {
  return linesOf(text).flatMap((line) => {
    const words = wordsOf(line)
    if (words[0]?.text.startsWith('#')) return []
    if (words[0]?.text === 'set') {
      set(words.slice(1), variables)
      return []
    }
    const url = words.find(({ text }) => !/^(?:v2|v3|ndx|default|@.*)$/s.test(text))
    return url && words[0]?.text !== 'default' ? [{ ...url, text: expand(url.text, get(variables)) }] : []
  })
}

/** Takes the words of a `set [-default] key=value` line over into `variables`. */
function set(words: readonly Written[], variables: Map<string, string>): void {
  const isDefault = words[0]?.text === '-default'
  const [, key, value] = /^([A-Za-z]\w*)=(.*)$/s.exec(words[isDefault ? 1 : 0]?.text ?? '') ?? []
  if (key === undefined || key.startsWith('APK_') || (isDefault && variables.has(key))) return
  variables.set(key, expand(value!, get(variables)))
}

const get = (variables: ReadonlyMap<string, string>) => (name: string) => variables.get(name)
