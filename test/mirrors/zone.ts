/** The resolvers of this host, for tests: they say what the test puts into a zone. */

import type { SrvRecord } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import type { Test } from 'tap'

type Part = string[] | Error | undefined

/** As node:dns tells it. */
export const dnsError = (code: string): Error => Object.assign(new Error(`query ${code}`), { code })

export class Zone {
  /** Seconds. */
  ttl = 60
  /** What all questions come to while there is no resolver. */
  down: Error | undefined
  /** Every question was asked, as `A mirror.example.org`. */
  readonly asked: string[] = []
  readonly #names = new Map<string, { readonly four: Part; readonly six: Part }>()
  readonly #services = new Map<string, readonly SrvRecord[] | Error>()
  /** Answers come when this settles. */
  delay: (name: string) => Promise<void> = async () => {}

  /** Puts the zone in the place of the resolvers of this process until the end of the test. */
  static install(t: Test): Zone {
    const zone = new Zone()
    const { resolve4, resolve6, resolveSrv } = Resolver.prototype
    Object.assign(Resolver.prototype, {
      resolve4: (name: string) => zone.#addresses('A', name),
      resolve6: (name: string) => zone.#addresses('AAAA', name),
      resolveSrv: (name: string) => zone.#targets(name),
    })
    t.teardown(() => Object.assign(Resolver.prototype, { resolve4, resolve6, resolveSrv }))
    return zone
  }

  /** Both families of a name; a family that is not given has no address, and may be an Error as well. */
  set(name: string, four: Part, six?: Part): void {
    this.#names.set(name, { four, six })
  }

  setService(name: string, targets: readonly (readonly [target: string, port: number])[] | Error): void {
    const records = (list: typeof targets) =>
      list instanceof Error ? list : list.map(([name, port]) => ({ name, port, priority: 0, weight: 0 }))
    this.#services.set(name, records(targets))
  }

  async #addresses(type: 'A' | 'AAAA', name: string): Promise<{ address: string; ttl: number }[]> {
    await this.#ask(`${type} ${name}`)
    const entry = this.#names.get(name)
    if (entry === undefined) throw dnsError('ENOTFOUND')
    const part = type === 'A' ? entry.four : entry.six
    if (part === undefined) throw dnsError('ENODATA')
    if (part instanceof Error) throw part
    return part.map((address) => ({ address, ttl: this.ttl }))
  }

  async #targets(name: string): Promise<readonly SrvRecord[]> {
    await this.#ask(`SRV ${name}`)
    const records = this.#services.get(name)
    if (records === undefined) throw dnsError('ENOTFOUND')
    if (records instanceof Error) throw records
    return records
  }

  async #ask(question: string): Promise<void> {
    this.asked.push(question)
    await this.delay(question)
    if (this.down !== undefined) throw this.down
  }
}
