/** Finds the mirrors of pacman (pacman.conf(5)). */
import type { Origin } from '../../core/policy/origin.js'
import type { Files } from './file-reader.js'
import { lastValue, parseIni } from './ini.js'
import type { MirrorCollector } from './mirror-collector.js'
import { globPaths } from './paths.js'
import { architecture, expand } from './variables.js'

/** The depth of includes, as in pacman itself. */
const DEPTH = 10
/** Includes in one discovery: many sections may include one file, and two files may include each other. */
const INCLUDES_AT_MOST = 1024

export function discoverPacman(files: Files, found: MirrorCollector): void {
  new Pacman(files, found).read('/etc/pacman.conf', 'options', 0)
}

class Pacman {
  readonly #files: Files
  readonly #found: MirrorCollector
  #arch = architecture()
  #includes = 0

  constructor(files: Files, found: MirrorCollector) {
    this.#files = files
    this.#found = found
  }

  /** Reads a file as if its text were in a section of another. */
  read(path: string, repo: string, depth: number): void {
    const file = this.#files.read(path)
    for (const section of parseIni(file.text)) {
      const name = section.name || repo
      const arch = name === 'options' ? lastValue(section, 'Architecture')?.split(' ')[0] : undefined
      if (arch !== undefined && arch !== 'auto') this.#arch = arch
      for (const { key, value, line } of section.entries) {
        const text = value[0]!.text
        if (key === 'Include') this.#include(text, name, depth)
        else if (/^(?:Cache)?Server$/.test(key) && name !== 'options') this.#server(text, name, file.at(line))
      }
    }
  }

  #server(url: string, repo: string, origin: Origin): void {
    const variables = (name: string) => ({ repo, arch: this.#arch })[name]
    const target = this.#found.target(expand(url, variables), origin)
    if (target) this.#found.add('pacman', target, origin)
  }

  /** Reads the files that a pattern of glob(7) names. */
  #include(pattern: string, repo: string, depth: number): void {
    if (depth >= DEPTH || this.#includes++ >= INCLUDES_AT_MOST) return
    for (const path of globPaths(this.#files, pattern)) this.read(path, repo, depth + 1)
  }
}
