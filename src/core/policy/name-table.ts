/**
 * Finds the values of a host name: those of the name itself, and those of the domains above it
 * (`*.example.org`). Names are in lower case, without the last dot.
 */
export class NameTable<T> {
  readonly #names = new Map<string, T[]>()
  readonly #domains = new Map<string, T[]>()

  /** Adds a value to names, and to all names below domains. */
  add(names: Iterable<string>, domains: Iterable<string>, value: T): void {
    for (const name of names) put(this.#names, name, value)
    for (const domain of domains) put(this.#domains, domain, value)
  }

  /** Returns all values of a name, each once. */
  find(name: string): T[] {
    const found = new Set(this.#names.get(name))
    for (const domain of domainsOf(name))
      for (const value of this.#domains.get(domain) ?? []) found.add(value)
    return [...found]
  }

  /** Whether a name has a value. */
  has(name: string): boolean {
    if (this.#names.has(name)) return true
    for (const domain of domainsOf(name)) if (this.#domains.has(domain)) return true
    return false
  }
}

function put<T>(table: Map<string, T[]>, key: string, value: T): void {
  const values = table.get(key)
  if (values === undefined) table.set(key, [value])
  else if (!values.includes(value)) values.push(value)
}

/** Yields the domains above a name, the nearest first. */
function* domainsOf(name: string): IterableIterator<string> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1)
}
