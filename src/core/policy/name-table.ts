/**
 * Host names, and domains that stand for all names below them (`*.example.org`), each with what it is for. Names are in
 * lower case, without the last dot.
 */
export class NameTable<T> {
  readonly #names = new Map<string, T[]>()
  readonly #domains = new Map<string, T[]>()

  add(names: Iterable<string>, domains: Iterable<string>, value: T): void {
    for (const name of names) put(this.#names, name, value)
    for (const domain of domains) put(this.#domains, domain, value)
  }

  /** All that a name is for, each once. */
  find(name: string): T[] {
    const found = new Set(this.#names.get(name))
    for (const domain of domainsOf(name))
      for (const value of this.#domains.get(domain) ?? []) found.add(value)
    return [...found]
  }

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

/** The domains that a name lies below, the nearest first. */
function* domainsOf(name: string): IterableIterator<string> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1)
}
