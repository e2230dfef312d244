import type { Question } from '../core/dns/question.js'
import type { Address } from '../core/packet/ip.js'
import { namesOf } from '../core/policy/allowlist.js'
import type { Policy } from '../core/policy/policy.js'
import type { Rule } from '../core/policy/rule.js'
import { OWN_UID } from '../system/users.js'
import { AddressBook } from './address-book.js'
import { AddressesFile, readSavedNames } from './addresses-file.js'
import type { AddressState, CachedAddress } from './cached-name.js'
import { Aliases } from './cname-aliases.js'
import { type Asker, Confirmations } from './confirmations.js'
import type { AnswerContent, Target } from './dns/answer-reader.js'
import { type Addresses, lookup, lookupService, type ServiceTargets } from './dns/lookup.js'
import { NO_SEARCH, type SearchList, shortened } from './dns/search-list.js'
import { HostChangeQueue } from './kernel-updates.js'
import type { LearnedOptions, LearnedSettings } from './learned-options.js'
import { LookupFailures } from './lookup-failures.js'
import { type LookupCounts, NameRefresher } from './name-refresher.js'
import { ServedPolicies } from './served-policies.js'
import { ServiceTable } from './srv-targets.js'

/** How long a start or a reload waits for the first answers for new names. */
const FIRST_ANSWERS_MS = 3000

/**
 * Learns the addresses of allowed names, puts them into policies and the kernel, and saves them for the next
 * start.
 */
export class LearnedAddresses {
  readonly #options: LearnedOptions
  readonly #book: AddressBook
  readonly #names: NameRefresher<Addresses>
  readonly #serviceNames: NameRefresher<ServiceTargets>
  readonly #services: ServiceTable
  readonly #kernel: HostChangeQueue
  readonly #aliases = new Aliases()
  readonly #failures = new LookupFailures()
  readonly #file: AddressesFile
  readonly #confirmations = new Confirmations(
    (...confirmed) => this.#onConfirmed(...confirmed),
    () => this.#search,
  )
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
      isUsed: (host, now) => options.used.isUsed(host, now),
    })
    this.#names = new NameRefresher({
      resolve: (name) => lookup(name, this.#search),
      random: Math.random,
      ttlOf: ({ ttl }) => ttl,
      onAnswer: (name, answer) => {
        options.onLookedUp()
        for (const each of this.#namesFor(name)) this.#learnFor(each, answer, true)
      },
      onFailure: (name, error) => this.#onFailure(name, error as Error),
    })
    this.#services = new ServiceTable(() => this.#settings.grace)
    this.#serviceNames = new NameRefresher({
      resolve: lookupService,
      random: Math.random,
      ttlOf: ({ ttl }) => ttl,
      onAnswer: (service, answer) => this.#learnTargets(service, answer),
      onFailure: (service, error) => this.#onFailure(service, error as Error),
    })
    this.#kernel = new HostChangeQueue(
      (changes) => firewall.changeHosts(changes),
      (error) => log.error(`the kernel has not taken new addresses of allowed names: ${error.message}`),
    )
    this.#file = new AddressesFile(
      options.directory,
      () => ({ names: this.#namesToKeep(), services: this.#services.all(), uses: [...options.used] }),
      log,
    )
  }

  /** The names and SRV services that are looked up, by the result of the last look-up. */
  get lookups(): LookupCounts {
    const [names, services] = [this.#names.counts, this.#serviceNames.counts]
    return { good: names.good + services.good, failing: names.failing + services.failing }
  }

  /** Looks names up at start. Saved addresses of an earlier run count until the first answers. */
  async start(policy: Policy, services: readonly string[], settings: LearnedSettings): Promise<void> {
    this.#settings = settings
    this.#serve([policy])
    this.#services.keep(services)
    const now = Date.now()
    // Refreshing starts before: it makes saved addresses count longer.
    const first = this.#watch(policy, services)
    const known = readSavedNames(this.#options.directory)
    for (const { rule, uid, host, time } of known.uses)
      this.#options.used.note(rule, uid, host.family, host.words, time)
    for (const [name, entries] of known.names)
      if (policy.names.has(name)) this.#book.restore(name, entries, now)
    for (const [service, targets] of known.services) this.#services.learn(service, { targets, ttl: 0 }, now)
    const missing = [...namesOf(policy)].some((name) => this.#book.entries(name).length === 0)
    if (missing) await Promise.race([first, pause(FIRST_ANSWERS_MS)])
  }

  /**
   * Serves a policy that is about to come into force beside the present one, and looks its names up. `settle`
   * must follow, with the policy that came into force. @returns settles when new names were looked up, or
   * have taken too long
   */
  follow(policy: Policy, services: readonly string[], settings: LearnedSettings): Promise<void> {
    this.#settings = settings
    this.#serve([...new Set([...this.#policies.all, policy])])
    this.#services.keep(services)
    return Promise.race([this.#watch(policy, services), pause(FIRST_ANSWERS_MS)])
  }

  /** Serves only the policy that is in force, and forgets names that it does not allow. */
  settle(policy: Policy): void {
    this.#policies.take([policy])
    this.#book.keep((name) => policy.names.has(name))
    this.#aliases.keep((name) => policy.names.has(name))
  }

  /** The known targets of an SRV name. */
  targets(service: string): Target[] {
    return this.#services.targets(service)
  }

  /** All known addresses of a name. */
  entries(name: string): CachedAddress[] {
    return this.#book.entries(name)
  }

  /** The current addresses of a name. */
  current(name: string): CachedAddress[] {
    return this.#book.current(name)
  }

  /** The names with known addresses. */
  get known(): string[] {
    return this.#book.names
  }

  /**
   * Whether a name is an SRV name or an alias of an allowed name: queries for it are allowed without a rule.
   */
  isWayTo(name: string): boolean {
    return this.#services.has(name) || this.#aliases.has(name)
  }

  /** Whether the answer to this query could bring addresses or targets. */
  isOfInterest({ name }: Question): boolean {
    return this.#namesFor(name).length > 0 || this.isWayTo(name)
  }

  /**
   * Takes an answer of a resolver that is on its way to a program.
   * @returns what the answer should wait for before it is passed on, or undefined
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

  /**
   * Sends new addresses to the kernel before the program has them, when the kernel's fallback may judge its
   * packets.
   */
  #intoKernel(): Promise<void> | undefined {
    return this.#kernel.pending && this.#options.isBusy() ? this.#kernel.flush() : undefined
  }

  /** Does what is due each second. May be called again before it has settled. */
  async tick(): Promise<void> {
    const now = Date.now()
    this.#book.expire(now)
    this.#aliases.expire(now)
    this.#options.used.expire(now)
    if (now >= this.#nextRenewal) this.#renew(now)
    const trouble = this.#failures.line(now)
    if (trouble !== undefined) this.#options.log.warn(trouble)
    // The file comes last: a disk that hangs delays nothing else.
    const moved = this.#services.expire(now) ? this.#options.onTargets() : undefined
    await Promise.all([moved, this.#file.tick(performance.now())])
  }

  /** Stops look-ups. Settles when what has changed has been saved. */
  async stop(): Promise<void> {
    this.#names.stop()
    this.#serviceNames.stop()
    this.#kernel.stop()
    await this.#file.write()
  }

  /** Puts the known addresses of their names into new policies. */
  #serve(policies: readonly Policy[]): void {
    const fresh = this.#policies.take(policies)
    for (const name of this.#book.names)
      for (const policy of fresh)
        for (const rule of policy.names.find(name))
          for (const { host, state } of this.#book.entries(name)) rule[setOf(state)].add(host)
  }

  get #search(): SearchList {
    return this.#settings.search ?? NO_SEARCH
  }

  async #watch(policy: Policy, services: readonly string[]): Promise<void> {
    const { resolve } = this.#settings
    const names = resolve ? namesOf(policy) : []
    await Promise.all([this.#names.watch(names), this.#serviceNames.watch(resolve ? services : [])])
  }

  /**
   * The allowed names whose addresses an answer for this name has: the name itself, those that it is an
   * alias of, and short ones that it completes.
   */
  #namesFor(name: string): string[] {
    const short = shortened(name, this.#search)
    const all = new Set([name, ...short].flatMap((each) => [each, ...this.#aliases.originsOf(each)]))
    return [...all].filter((each) => this.#policies.has(each))
  }

  /** @param isTrusted whether the user for whom the query was sent is trusted */
  #learnFor(name: string, answer: Addresses, isTrusted: boolean): void {
    const now = Date.now()
    this.#book.learn(name, answer, now, isTrusted)
    const expires = now + (answer.ttl + this.#settings.grace) * 1000
    for (const alias of answer.aliases) this.#aliases.note(alias, name, expires)
  }

  /** @returns what the answer with new targets must wait for, or undefined */
  #learnTargets(service: string, found: ServiceTargets): Promise<void> | undefined {
    if (!this.#services.learn(service, found, Date.now())) return undefined
    this.#file.change()
    return this.#options.onTargets()
  }

  /**
   * Looks names up whose answer may be forged: an untrusted user may tell an accomplice outside the port and
   * the ID of the query, who then forges an answer. The service asks over TCP, where none can be forged, and
   * believes that answer.
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
   * Whether a query was sent by the service to confirm an answer for an untrusted user: it does not count as
   * trusted. A service that runs as root can tell its own queries from others of root only while its look-up
   * is under way.
   */
  #isConfirmation(name: string, uid: number): boolean {
    const { ownUid = OWN_UID } = this.#options
    if (uid !== ownUid) return false
    const names = [name, ...shortened(name, this.#search)]
    if (names.some((each) => this.#confirmations.has(each))) return true
    return ownUid !== 0 && !names.some((each) => this.#names.has(each))
  }

  #onChange(name: string, host: Address, was: AddressState | undefined, is: AddressState | undefined): void {
    this.#file.change()
    for (const rule of this.#policies.rulesFor(name)) this.#move(rule, host, was, is)
  }

  #move(rule: Rule, host: Address, was: AddressState | undefined, is: AddressState | undefined): void {
    const before = this.#isInKernel(rule, host)
    if (is !== undefined) rule[setOf(is)].add(host)
    if (was !== undefined) rule[setOf(was)].remove(host)
    const after = this.#isInKernel(rule, host)
    if (before !== after) this.#kernel.note(rule, host, after)
  }

  /** Whether the kernel's copy of a rule has an address: a former one as long as somebody uses it. */
  #isInKernel({ addresses, formerAddresses }: Rule, host: Address): boolean {
    const { family, words } = host
    return (
      addresses.has(family, words) ||
      (formerAddresses.has(family, words) && this.#options.used.isUsed(host, Date.now()))
    )
  }

  /** Renews the timeout of all addresses in the kernel, four times in each timeout. */
  #renew(now: number): void {
    if (this.#nextRenewal > 0)
      for (const policy of this.#policies.all)
        for (const rule of policy.rules)
          for (const host of [...rule.addresses, ...rule.formerAddresses])
            if (this.#isInKernel(rule, host)) this.#kernel.note(rule, host, true)
    this.#nextRenewal = now + (this.#options.hostTimeout * 1000) / 4
  }

  #namesToKeep(): Map<string, CachedAddress[]> {
    return new Map(this.#book.names.map((name) => [name, this.#book.toKeep(name, Date.now())]))
  }

  #onFailure(name: string, error: Error): void {
    this.#options.onLookUpFailed()
    this.#failures.note(name, error.message)
  }
}

const setOf = (state: AddressState) => (state === 'current' ? 'addresses' : 'formerAddresses')
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())
