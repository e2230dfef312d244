import { machine } from 'node:os'

/** What a variable stands for; undefined for one that is not known. */
export type Variables = (name: string) => string | undefined

/** Variables within the words of others (`${a:-${b}}`) are done from the inside, so many times at most. */
const DEPTH = 8
/** Longer texts stay as they are, and longer values are not known: a few lines must not fill the memory. */
const LENGTH_AT_MOST = 4096

const VARIABLE = /\$\{(\w+)(?::([-+])([^{}$]*))?\}|\$(\w+)/g

/**
 * A text with its variables in place: `$name`, `${name}`, `${name:-word}` and `${name:+word}`, as dnf.conf(5),
 * zypper(8) and apk-repositories(5) write them. Unknown ones stay as they are.
 */
export function expand(text: string, variables: Variables): string {
  let result = text
  for (let round = 0; round < DEPTH; round++) {
    if (result.length > LENGTH_AT_MOST) return text
    const next = result.replace(VARIABLE, (all, braced, kind, word, bare) => {
      const known = variables(braced ?? bare)
      const value = known === undefined || known.length > LENGTH_AT_MOST ? undefined : known
      if (kind === '-') return value || word
      if (kind === '+') return value ? word : ''
      return value ?? all
    })
    if (next === result) break
    result = next
  }
  return result
}

/** Machines whose name (uname -m) is also the base architecture of packages. Others have names of their own. */
const PLAIN = new Set(['x86_64', 'aarch64', 'ppc64le', 's390x', 'riscv64'])

/** `$arch` and `$basearch` of this host. */
export const architecture = (name = machine()): string | undefined => (PLAIN.has(name) ? name : undefined)
