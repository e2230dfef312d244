/** Replaces the resolvers of this host for tests: they answer from a zone that the test fills. */

import type { SrvRecord } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import type { Answer } from 'dns-packet'
import type { Test } from 'tap'
import type { Question } from '../../../src/core/dns/question.js'
import { type Answers, NoConnection, TcpResolver } from '../../../src/names/dns/tcp-resolver.js'
import { A, AAAA, type Asked, a, aaaa, NXDOMAIN, response, SERVFAIL, srv } from './answers.js'

type Part = string[] | Error | undefined

/** Makes an error in the form of node:dns. */
export const dnsError = (code: string): Error => Object.assign(new Error(`query ${code}`), { code })

export class Zone {
  /** The TTL of all answers, in seconds. */
  ttl = 60
  /** Whether the resolver takes TCP connections. */
  takesTcp = true
  /** The error that all queries fail with while there is no resolver. */
  down: Error | undefined
  /** Every query so far, as `A mirror.example.org`. */
  readonly asked: string[] = []
  /** The queries that were sent over UDP. */
  readonly askedByUdp: string[] = []
  readonly #names = new Map<string, { readonly four: Part; readonly six: Part }>()
  readonly #services = new Map<string, readonly SrvRecord[] | Error>()
  /** Answers arrive when this promise settles. */
  delay: (name: string) => Promise<void> = async () => {}

  /** Replaces the resolvers of this process with the zone until the end of the test. */
  static install(t: Test): Zone {
    const zone = new Zone()
    const { getServers, resolve4, resolve6, resolveSrv } = Resolver.prototype
    const { ask } = TcpResolver.prototype
    Object.assign(Resolver.prototype, {
      getServers: () => ['198.51.100.53'],
      resolve4: (name: string) => zone.#byUdp('A', name, zone.#addresses),
      resolve6: (name: string) => zone.#byUdp('AAAA', name, zone.#addresses),
      resolveSrv: (name: string) => zone.#byUdp('SRV', name, zone.#targets),
    })
    TcpResolver.prototype.ask = (questions) => zone.#byTcp(questions)
    t.teardown(() => {
      Object.assign(Resolver.prototype, { getServers, resolve4, resolve6, resolveSrv })
      TcpResolver.prototype.ask = ask
    })
    return zone
  }

  /** Sets both families of a name. A family that is not given has no address; it may also be an Error. */
  set(name: string, four: Part, six?: Part): void {
    this.#names.set(name, { four, six })
  }

  setService(name: string, targets: readonly (readonly [target: string, port: number])[] | Error): void {
    const records = (list: typeof targets) =>
      list instanceof Error ? list : list.map(([name, port]) => ({ name, port, priority: 0, weight: 0 }))
    this.#services.set(name, records(targets))
  }

  async #byUdp<Found>(
    type: string,
    name: string,
    find: (this: Zone, name: string, type: string) => Found,
  ): Promise<Found> {
    this.askedByUdp.push(`${type} ${name}`)
    await this.#ask(`${type} ${name}`)
    return find.call(this, name, type)
  }

  async #byTcp(questions: readonly Question[]): Promise<Answers> {
    if (!this.takesTcp) throw new NoConnection('it takes no TCP connection')
    const answers: Answers = new Map()
    const outcomes = await Promise.allSettled(
      questions.map(async (question) => answers.set(question, await this.#message(question as Asked))),
    )
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (answers.size === 0) throw failed!.reason
    return answers
  }

  async #message(of: Asked): Promise<Buffer> {
    try {
      await this.#ask(`${nameOf(of.type)} ${of.name}`)
      return response(of, this.#records(of))
    } catch (error) {
      const rcode = RCODES.get((error as NodeJS.ErrnoException).code!)
      if (rcode === undefined) throw error
      return response(of, [], rcode)
    }
  }

  #records({ name, type }: Asked): Answer[] {
    const record = type === A ? a : aaaa
    if (type === A || type === AAAA)
      return this.#addresses(name, nameOf(type)).map(({ address, ttl }) => record(name, address, ttl))
    return this.#targets(name).map((each) => srv(name, each.name, each.port, this.ttl))
  }

  #addresses(name: string, type: string): { address: string; ttl: number }[] {
    const entry = this.#names.get(name)
    if (entry === undefined) throw dnsError('ENOTFOUND')
    const part = type === 'A' ? entry.four : entry.six
    if (part === undefined) throw dnsError('ENODATA')
    if (part instanceof Error) throw part
    return part.map((address) => ({ address, ttl: this.ttl }))
  }

  #targets(name: string): readonly SrvRecord[] {
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

/** RCODES has the response code for each error code of node:dns. */
const RCODES = new Map([
  ['ENODATA', 0],
  ['ESERVFAIL', SERVFAIL],
  ['ENOTFOUND', NXDOMAIN],
])

const nameOf = (type: Asked['type']) => (type === A ? 'A' : type === AAAA ? 'AAAA' : 'SRV')
