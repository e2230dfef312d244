/** Finds the files that a pattern or several folders of a program's configuration name. */
import { basename, join } from 'node:path'
import type { Files, TextFile } from './file-reader.js'

/** The paths that one pattern may have. */
const PATHS_AT_MOST = 1024
/** The files that one program's configuration may include. */
const INCLUDED_AT_MOST = 1024

/** Expands a pattern of glob(7) with an absolute path; one without a pattern is the path itself. */
export function globPaths(files: Files, pattern: string): string[] {
  let paths = ['/']
  for (const part of pattern.split('/').filter((each) => each !== '')) {
    const isPattern = /[*?[]/.test(part)
    paths = paths.flatMap((folder) => (isPattern ? files.list(folder, globOf(part)) : [join(folder, part)]))
    paths = paths.slice(0, PATHS_AT_MOST)
  }
  return pattern.startsWith('/') ? paths : []
}

/**
 * Lists the files of several folders in the order of their names; a file of an earlier folder hides those of
 * its name.
 */
export function masked(files: Files, folders: readonly string[], name: RegExp): string[] {
  const paths = new Map<string, string>()
  for (const path of folders.flatMap((folder) => files.list(folder, name)))
    if (!paths.has(basename(path))) paths.set(basename(path), path)
  return [...paths].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path)
}

/** Reads the files of one program, each once: files may include each other. */
export class IncludedFiles {
  readonly #files: Files
  readonly #read = new Set<string>()

  constructor(files: Files) {
    this.#files = files
  }

  /** Reads a file; undefined when it was read before, or too many were. */
  read(path: string): TextFile | undefined {
    if (this.#read.has(path) || this.#read.size >= INCLUDED_AT_MOST) return undefined
    this.#read.add(path)
    return this.#files.read(path)
  }
}

/** Translates a pattern of glob(7) for one name into a regular expression. */
export function globOf(pattern: string): RegExp {
  const parts = pattern.match(/\*+|\?|\[!?\]?[^\]]*\]|[^*?[]+|\[/g) ?? []
  const source = parts.map((part) => {
    if (part.startsWith('*')) return '.*'
    if (part === '?') return '.'
    if (!/^\[.+\]$/.test(part)) return part.replace(/[.+^$(){}|\\\]/[-]/g, '\\$&')
    return `[${part
      .slice(1, -1)
      .replace(/^!/, '^')
      .replace(/[\\[\]]/g, '\\$&')}]`
  })
  return regExpOf(pattern.startsWith('.') ? source.join('') : `(?!\\.)${source.join('')}`)
}

/** Compiles a pattern; one that makes no sense (`[z-a]`) matches nothing. */
function regExpOf(source: string): RegExp {
  try {
    return new RegExp(`^${source}$`, 's')
  } catch {
    return /(?!)/
  }
}
