import { machine } from 'node:os'

/** Returns the value of a variable; undefined when it is not known. */
export type Variables = (name: string) => string | undefined

/** Nested variables (`${a:-${b}}`) are expanded from the inside, up to this depth. */
const DEPTH = 8
/**
 * Longer texts are not expanded, and longer values count as unknown: a few lines must not fill the memory.
 */
const LENGTH_AT_MOST = 4096

const VARIABLE = /\$\{(\w+)(?::([-+])([^{}$]*))?\}|\$(\w+)/g

/**
 * Expands variables: `$name`, `${name}`, `${name:-word}` and `${name:+word}` of dnf.conf(5), zypper(8) and
 * apk-repositories(5). Unknown variables stay as they are.
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

/**
 * Machines whose name (uname -m) is also the base architecture of packages. Others have names of their own.
 */
const PLAIN = new Set(['x86_64', 'aarch64', 'ppc64le', 's390x', 'riscv64'])

/** Returns `$arch` and `$basearch` of this host. */
export const architecture = (name = machine()): string | undefined => (PLAIN.has(name) ? name : undefined)
