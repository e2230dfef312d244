/** Completes short names as programs of this host do (resolv.conf(5), `search` and `ndots`). */

/**
 * The domains that programs append to names with fewer dots than `ndots`, before they ask for the name as it
 * is.
 */
export interface SearchList {
  readonly domains: readonly string[]
  readonly ndots: number
}

export const NO_SEARCH: SearchList = { domains: [], ndots: 1 }

/** The domains that the C library takes (MAXDNSRCH of older ones): the rest is left out. */
const DOMAINS_AT_MOST = 6
/** The longest name (RFC 1035, section 2.3.4), without its last dot. */
const LENGTH_AT_MOST = 253

const isShort = (name: string, { ndots }: SearchList): boolean => name.split('.').length - 1 < ndots

/** Returns the names to ask for, in the order of the C library: the completed ones first. */
export function searched(name: string, search: SearchList): string[] {
  if (!isShort(name, search)) return [name]
  const completed = search.domains.slice(0, DOMAINS_AT_MOST).map((domain) => `${name}.${domain}`)
  return [...completed.filter(({ length }) => length <= LENGTH_AT_MOST), name]
}

/** Returns the short names that may have become this one. */
export const shortened = (name: string, search: SearchList): string[] =>
  search.domains.slice(0, DOMAINS_AT_MOST).flatMap((domain) => {
    const short = name.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1) : ''
    return short !== '' && isShort(short, search) ? [short] : []
  })
