/** Whether logrotate (logrotate(8)) has an entry for a log. Pure. */

/** @param texts of its files */
export const isRotated = (log: string, texts: readonly string[]): boolean =>
  texts.some((text) => patternsOf(text).some((pattern) => matches(pattern, log)))

/** The paths before each `{ ... }`. */
function patternsOf(text: string): string[] {
  const outside = text.replaceAll(/^\s*#.*$/gm, '').replaceAll(/\{[^}]*\}/g, ' ')
  return [...outside.matchAll(/"([^"]+)"|'([^']+)'|(\S+)/g)].map(([, a, b, c]) => (a ?? b ?? c)!)
}

/** glob(7), without sets of characters that are none. */
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
