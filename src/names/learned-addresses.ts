import type { Question } from '../core/dns/question.js'
import type { Address } from '../core/packet/ip.js'
import type { Policy, Rule } from '../core/policy/policy.js'
import { namesOf } from '../core/policy/policy.js'
import type { Firewall } from '../kernel/nftables/firewall.js'
import type { ServiceLog } from '../system/service-log.js'
import { OWN_UID } from '../system/users.js'
import { AddressBook } from './address-book.js'
import { AddressesFile, readSavedNames } from './addresses-file.js'
import type { CachedAddress, Standing } from './cached-name.js'
import { Aliases } from './cname-aliases.js'
import { type Asker, Confirmations } from './confirmations.js'
import type { AnswerContent, Target } from './dns/answer-reader.js'
import { type Addresses, lookup, lookupService, type ServiceTargets } from './dns/lookup.js'
import { HostChangeQueue } from './kernel-updates.js'
import { Failures } from './lookup-failures.js'
import { NameWatcher } from './name-refresher.js'
import { ServedPolicies } from './served-policies.js'
import { ServiceTable } from './srv-targets.js'

/** New names are waited for only this long. */
const FIRST_ANSWERS_MS = 3000

/** What of the configuration may change by a reload. */
export interface LearnedSettings {
  /** Whether allowed names are looked up before anybody asks. */
  readonly resolve: boolean
  /** Seconds. */
  readonly grace: number
}

export interface LearnedOptions {
  readonly directory: string
  readonly firewall: Pick<Firewall, 'changeHosts'>
  readonly log: Pick<ServiceLog, 'warn' | 'error'>
  /** Whether packets may soon meet the kernel's fallback, because the service does not keep up. */
  readonly isBusy: () => boolean
  /** The service itself has looked an allowed name up. */
  readonly onLookedUp: () => void
  /** It has tried to, and failed. */
  readonly onLookUpFailed: () => void
  /** There are new targets of services: the policy must be made anew. */
  readonly onTargets: () => Promise<void>
  /** Seconds that an address stays in the kernel by itself. */
  readonly hostTimeout: number
  /** The user that the service looks names up as. */
  readonly ownUid?: number
}

/** The addresses of allowed names: learned, put into policies and kernel, and kept for the next start. */
export class LearnedAddresses {
  readonly #options: LearnedOptions
  readonly #book: AddressBook
  readonly #names: NameWatcher<Addresses>
  readonly #serviceNames: NameWatcher<ServiceTargets>
  readonly #services: ServiceTable
  readonly #kernel: HostChangeQueue
  readonly #aliases = new Aliases()
  readonly #failures = new Failures()
  readonly #file: AddressesFile
  readonly #confirmations = new Confirmations((...confirmed) => this.#onConfirmed(...confirmed))
  readonly #policies = new ServedPolicies()
  #settings: LearnedSettings = { resolve: true, grace: 0 }
  #nextRenewal = 0

  constructor(options: LearnedOptions) {
    const { firewall, log } = options
    this.#options = options
    this.#book = new AddressBook({
      onChange: (...change) => this.#onChange(...change),
      grace: () => this.#settings.grace,
      isListed: (name) => this.#policies.lists(name),
      isWatched: (name) => this.#names.has(name),
    })
    this.#names = new NameWatcher({
      resolve: lookup,
      random: Math.random,
      ttlOf: ({ ttl }) => ttl,
      onAnswer: (name, answer) => {
        options.onLookedUp()
        for (const each of this.#namesFor(name)) this.#learnFor(each, answer, true)
      },
      onFailure: (name, error) => this.#onFailure(name, error as Error),
    })
    this.#services = new ServiceTable(() => this.#settings.grace)
    this.#serviceNames = new NameWatcher({
      resolve: lookupService,
      random: Math.random,
      ttlOf: ({ ttl }) => ttl,
      onAnswer: (service, answer) => this.#learnTargets(service, answer),
      onFailure: (service, error) => this.#onFailure(service, error as Error),
    })
    this.#kernel = new HostChangeQueue(
      (changes) => firewall.changeHosts(changes),
      (error) => log.error(`the kernel has not taken new addresses of mirrors: ${error.message}`),
    )
    this.#file = new AddressesFile(
      options.directory,
      () => ({ names: this.#namesToKeep(), services: this.#services.all() }),
      log,
    )
  }

  /** At start: what an earlier run knew counts until the first answers. */
  async start(policy: Policy, services: readonly string[], settings: LearnedSettings): Promise<void> {
    this.#settings = settings
    this.#serve([policy])
    this.#services.keep(services)
    const now = Date.now()
    // Watched first: the last good answers of names that are watched count longer.
    const first = this.#watch(policy, services)
    const known = readSavedNames(this.#options.directory)
    for (const [name, entries] of known.names)
      if (policy.names.has(name)) this.#book.restore(name, entries, now)
    for (const [service, targets] of known.services) this.#services.learn(service, { targets, ttl: 0 }, now)
    const missing = [...namesOf(policy)].some((name) => this.#book.entries(name).length === 0)
    if (missing) await Promise.race([first, pause(FIRST_ANSWERS_MS)])
  }

  /**
   * Serves a policy that is about to be in force, besides the one that is, and looks its names up.
   * `settle` must come after it, with the one that came into force.
   * @returns settles when new names were looked up, or have taken too long
   */
  follow(policy: Policy, services: readonly string[], settings: LearnedSettings): Promise<void> {
    this.#settings = settings
    this.#serve([...new Set([...this.#policies.all, policy])])
    this.#services.keep(services)
    return Promise.race([this.#watch(policy, services), pause(FIRST_ANSWERS_MS)])
  }

  settle(policy: Policy): void {
    this.#policies.take([policy])
    this.#book.keep((name) => policy.names.has(name))
    this.#aliases.keep((name) => policy.names.has(name))
  }

  /** Where a service was found to be. */
  targets(service: string): Target[] {
    return this.#services.targets(service)
  }

  /** All that is known of a name. */
  entries(name: string): CachedAddress[] {
    return this.#book.entries(name)
  }

  /** The addresses of a name that count. */
  current(name: string): CachedAddress[] {
    return this.#book.current(name)
  }

  /** Names for which there are addresses. */
  get known(): string[] {
    return this.#book.names
  }

  /** Whether a name may be asked for though no rule has it: it leads to one that a rule has. */
  isWayTo(name: string): boolean {
    return this.#services.has(name) || this.#aliases.has(name)
  }

  /** Whether an answer to this question could teach anything. */
  isOfInterest({ name }: Question): boolean {
    return this.#policies.has(name) || this.isWayTo(name)
  }

  /**
   * Takes an answer of a resolver that is on its way to the program that has asked.
   * @returns what the answer should wait for, if for anything
   */
  learn({ name }: Question, reading: AnswerContent, asker: Asker): Promise<void> | undefined {
    const { uid, trusted, isForgeable } = asker
    if (reading.targets.length > 0) return trusted ? this.#learnTargets(name, reading) : undefined
    const names = this.#namesFor(name)
    const isBelieved = (each: string) => trusted && !(isForgeable && this.#policies.isShared(each))
    const isForItself = !this.#isConfirmation(name, uid)
    for (const each of names.filter(isBelieved)) this.#learnFor(each, reading, isForItself)
    const confirmed = this.#confirm(
      names.filter((each) => !isBelieved(each)),
      reading,
      asker,
    )
    return confirmed ? confirmed.then(() => this.#intoKernel()) : this.#intoKernel()
  }

  /** Where packets may pass the service by, the kernel must know an address before a program does. */
  #intoKernel(): Promise<void> | undefined {
    return this.#kernel.pending && this.#options.isBusy() ? this.#kernel.flush() : undefined
  }

  /** What has to be done each second. May be called again before it has settled. */
  async tick(): Promise<void> {
    const now = Date.now()
    this.#book.expire(now)
    this.#aliases.expire(now)
    if (now >= this.#nextRenewal) this.#renew(now)
    const trouble = this.#failures.line(now)
    if (trouble !== undefined) this.#options.log.warn(trouble)
    // Last: a disk that hangs keeps nothing else waiting.
    const moved = this.#services.expire(now) ? this.#options.onTargets() : undefined
    await Promise.all([moved, this.#file.tick(performance.now())])
  }

  /** Settles when all that is known has been kept. */
  async stop(): Promise<void> {
    this.#names.stop()
    this.#serviceNames.stop()
    this.#kernel.stop()
    await this.#file.write()
  }

  /** Gives all policies the addresses that are known of their names. */
  #serve(policies: readonly Policy[]): void {
    const fresh = this.#policies.take(policies)
    for (const name of this.#book.names)
      for (const policy of fresh)
        for (const rule of policy.names.find(name))
          for (const { host, standing } of this.#book.entries(name)) rule[setOf(standing)].add(host)
  }

  async #watch(policy: Policy, services: readonly string[]): Promise<void> {
    const { resolve } = this.#settings
    const names = resolve ? namesOf(policy) : []
    await Promise.all([this.#names.watch(names), this.#serviceNames.watch(resolve ? services : [])])
  }

  /** The allowed names whose addresses an answer for this name tells: itself, and those that it is an alias of. */
  #namesFor(name: string): string[] {
    const all = new Set([name, ...this.#aliases.originsOf(name)])
    return [...all].filter((each) => this.#policies.has(each))
  }

  /** @param isTrusted whether the one who wanted to know is */
  #learnFor(name: string, answer: Addresses, isTrusted: boolean): void {
    const now = Date.now()
    this.#book.learn(name, answer, now, isTrusted)
    const expires = now + (answer.ttl + this.#settings.grace) * 1000
    for (const alias of answer.aliases) this.#aliases.note(alias, name, expires)
  }

  /** @returns what a program that hears of new targets has to wait for */
  #learnTargets(service: string, found: ServiceTargets): Promise<void> | undefined {
    if (!this.#services.learn(service, found, Date.now())) return undefined
    this.#file.change()
    return this.#options.onTargets()
  }

  /**
   * Whoever has asked may tell an accomplice outside the port and the number of the question, and that one forges an
   * answer. So the service asks as well, over TCP, where none can be forged, and believes what it hears itself.
   */
  #confirm(names: readonly string[], reading: AnswerContent, asker: Asker): Promise<void> | undefined {
    const now = Date.now()
    const unknown = names.filter(
      (each) => this.#policies.serves(each, asker) && !this.#book.knows(each, reading, now),
    )
    if (unknown.length === 0) return undefined
    return Promise.all(unknown.map((each) => this.#confirmations.confirm(each, asker))).then(() => {})
  }

  #onConfirmed(name: string, asker: Asker, answer: Addresses): void {
    this.#options.onLookedUp()
    if (this.#policies.serves(name, asker)) this.#learnFor(name, answer, asker.trusted)
  }

  /**
   * The service is trusted, but those for whom it confirms are not. A service that runs as root cannot tell its own questions
   * from others of root, but for those that are under way.
   */
  #isConfirmation(name: string, uid: number): boolean {
    const { ownUid = OWN_UID } = this.#options
    if (uid !== ownUid) return false
    return this.#confirmations.has(name) || (ownUid !== 0 && !this.#names.has(name))
  }

  #onChange(name: string, host: Address, was: Standing | undefined, is: Standing | undefined): void {
    this.#file.change()
    for (const rule of this.#policies.rulesFor(name)) this.#move(rule, host, was, is)
  }

  #move(rule: Rule, host: Address, was: Standing | undefined, is: Standing | undefined): void {
    const before = rule.addresses.has(host.family, host.words)
    if (is !== undefined) rule[setOf(is)].add(host)
    if (was !== undefined) rule[setOf(was)].remove(host)
    const after = rule.addresses.has(host.family, host.words)
    if (before !== after) this.#kernel.note(rule, host, after)
  }

  /** The time of an address in the kernel runs out, unless it is told anew in good time. */
  #renew(now: number): void {
    if (this.#nextRenewal > 0)
      for (const policy of this.#policies.all)
        for (const rule of policy.rules)
          for (const host of rule.addresses) this.#kernel.note(rule, host, true)
    this.#nextRenewal = now + (this.#options.hostTimeout * 1000) / 4
  }

  #namesToKeep(): Map<string, CachedAddress[]> {
    return new Map(this.#book.names.map((name) => [name, this.#book.current(name)]))
  }

  #onFailure(name: string, error: Error): void {
    this.#options.onLookUpFailed()
    this.#failures.note(name, error.message)
  }
}

const setOf = (standing: Standing) => (standing === 'current' ? 'addresses' : 'formerAddresses')
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
