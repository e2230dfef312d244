/** Finds out whether logrotate (logrotate(8)) has an entry for a log. Pure. */

/** @param texts contents of the files of logrotate */
export const isRotated = (log: string, texts: readonly string[]): boolean =>
  texts.some((text) => patternsOf(text).some((pattern) => matches(pattern, log)))

/** Returns the paths before each `{ ... }`. */
function patternsOf(text: string): string[] {
  const outside = text.replaceAll(/^\s*#.*$/gm, '').replaceAll(/\{[^}]*\}/g, ' ')
  return [...outside.matchAll(/"([^"]+)"|'([^']+)'|(\S+)/g)].map(([, a, b, c]) => (a ?? b ?? c)!)
}

/** Matches a pattern of glob(7). An invalid set of characters matches nothing. */
function matches(pattern: string, path: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]')
    .replaceAll('[!', '[^')
  try {
    return new RegExp(`^${source}$`).test(path)
  } catch {
    return false
  }
}
