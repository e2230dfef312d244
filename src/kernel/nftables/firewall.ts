import type { Policy } from '../../core/policy/policy.js'
import type { Rule } from '../../core/policy/rule.js'
import { marksOf } from '../../core/ruleset/marks.js'
import {
  FORGET_BLOCKS,
  type HostChanges,
  type Quarantined,
  type QueueForm,
  type RulesetOptions,
  render,
  renderHostChanges,
  renderHosts,
  renderQuarantinedUnits,
  renderQuarantinedUsers,
  renderSocketFacts,
  renderUpdate,
  type SocketFacts,
} from '../../core/ruleset/ruleset.js'
import { ReadyProgram } from '../../system/ready-program.js'
import { SerialQueue } from '../../system/serial-queue.js'
import { nftPathOf } from './cgroup-paths.js'
import { LOAD, listTable, load, presentSets, presentUntracksLoopback, removeTable } from './nft.js'
import { quickPolicy } from './quick-policy.js'
import { type RulesetEvents, RulesetGeneration } from './ruleset-generation.js'
import { addQueueRules, haveQueueRules, type QueueRule, queueRules, removeQueueRules } from './xtables.js'

/** The options of the ruleset that do not change while the service runs. */
export type FirewallOptions = Pick<RulesetOptions, 'form' | 'queue' | 'mask' | 'matchesCgroups'>

/** A ruleset as it was loaded, to be put back when another program removes it. */
export interface Loaded {
  readonly policy: Policy
  readonly options: Omit<RulesetOptions, 'hasOpened'>
  readonly facts: SocketFacts
}

/** Whether the kernel has a copy of the allowlist. */
const hasFallbackSets = ({ policy, options }: Loaded) =>
  policy.mode === 'enforce' && options.fallback === 'static'

/** Joins transactions up to this length in characters: few changes are one transaction, many are several. */
const LENGTH_AT_MOST = 40_000

function together(transactions: readonly string[]): string[] {
  const parts: string[] = []
  for (const each of transactions) {
    const last = parts.at(-1)
    if (last !== undefined && last.length + each.length < LENGTH_AT_MOST)
      parts[parts.length - 1] = `${last}\n${each}`
    else parts.push(each)
  }
  return parts
}

const hasOpened = ({ opened }: SocketFacts) => opened.length > 0

/** The interval of checks of xtables rules, whose changes are not reported by nftables. */
const CHECK_MS = 10_000

/**
 * Loads the ruleset into this network namespace, changes it, and puts it back. Changes run one after the
 * other.
 */
export class Firewall {
  readonly form: QueueForm
  readonly matchesCgroups: boolean
  readonly #queueRules: readonly QueueRule[]
  readonly #generation: RulesetGeneration
  readonly #now: () => number
  readonly #turns = new SerialQueue()
  /** Changes of learned addresses in the kernel. */
  hostChanges = 0
  #loaded: Loaded | undefined
  /** When the ruleset was loaded: milliseconds since the epoch. */
  #loadedAt = 0
  /** The table without what takes long to load: to be put back at once. See quickPolicy. */
  #tableText = ''
  /** The socket facts that the kernel has. */
  #factsText = ''
  /** Waits to load the table again. */
  readonly #loader = new ReadyProgram(LOAD)
  #quarantined: readonly Quarantined[] = []
  #isGone = false
  #listed = ''
  #verifiedGeneration = -1
  #nextCheck = 0

  /** @param now milliseconds since the epoch @param events after these, ours may need a check */
  constructor(options: FirewallOptions, now: () => number, events: RulesetEvents) {
    const { form, queue, mask, matchesCgroups } = options
    this.form = form
    this.matchesCgroups = matchesCgroups
    // The rules do not depend on the generation of the policy.
    this.#queueRules = form === 'xtables' ? queueRules(marksOf(mask, 1), queue) : []
    this.#now = now
    this.#generation = new RulesetGeneration({
      ...events,
      onTableGone: () => {
        this.#isGone = true
        events.onTableGone()
      },
    })
  }

  /**
   * Replaces the loaded policy in one transaction. @param onLoaded is called as soon as the kernel has the
   * new one
   * @throws CommandError (rejects) and then the old one stays loaded
   */
  apply(loaded: Loaded, onLoaded?: () => void): Promise<void> {
    return this.#turns.run(() => this.#apply(loaded, onLoaded))
  }

  /**
   * Adds and removes learned addresses of rules. Rules that are not loaded are left out. @throws CommandError
   * (rejects)
   */
  changeHosts(changes: ReadonlyMap<Rule, HostChanges>): Promise<void> {
    return this.#turns.run(async () => {
      if (!this.#loaded || !hasFallbackSets(this.#loaded)) return
      const { options, policy } = this.#loaded
      // A clock that was set back does not bring back the sets of a rule that had expired.
      const now = Math.max(this.#now(), this.#loadedAt)
      const transactions = policy.rules.flatMap((rule, index) => {
        const change = changes.get(rule)
        return change ? renderHostChanges(policy, index, change, options, now) : []
      })
      await this.#loadElements(together(transactions))
      this.hostChanges++
    })
  }

  /** Loads socket facts, unless the kernel has the same ones. @throws CommandError (rejects) */
  setFacts(facts: SocketFacts): Promise<void> {
    return this.#turns.run(async () => {
      if (!this.#loaded) return
      const text = renderSocketFacts(facts)
      if (text === this.#factsText) return
      const loaded = { ...this.#loaded, facts }
      if (hasOpened(facts) !== hasOpened(this.#loaded.facts)) return this.#apply(loaded)
      await this.#loadElements([text])
      this.#loaded = loaded
      this.#factsText = text
    })
  }

  /**
   * Replaces the senders in quarantine. They stay when the ruleset changes, and are put back with it. A cgroup that is
   * gone is left out. @throws CommandError (rejects) and then they are in force as soon as the ruleset is loaded again
   */
  contain(quarantined: readonly Quarantined[]): Promise<void> {
    this.#quarantined = quarantined
    return this.#turns.run(() => this.#loadQuarantine())
  }

  /** Forgets what was blocked a moment ago: a policy that allows more is to come into force. */
  forgetBlocks(): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#loaded) await this.#loadElements([FORGET_BLOCKS])
    })
  }

  /**
   * Checks whether the ruleset is still loaded, and puts it back if not.
   * @returns what was found @throws CommandError, NetlinkError (rejects)
   */
  verify(): Promise<'intact' | 'restored'> {
    return this.#turns.run(async () => {
      if (this.#loaded && this.#isGone) {
        await this.#putBack(this.#loaded)
        return 'restored'
      }
      const generation = await this.#generation.read()
      const now = this.#now()
      const due = this.#queueRules.length > 0 && now >= this.#nextCheck
      const changed = generation !== this.#verifiedGeneration
      if (!this.#loaded || (!changed && !due)) return 'intact'
      if (due) this.#nextCheck = now + CHECK_MS
      const listed = changed ? await listTable() : this.#listed
      const intact = listed === this.#listed && (await haveQueueRules(this.#queueRules))
      if (!intact) await (listed === '' ? this.#putBack(this.#loaded) : this.#apply(this.#loaded))
      this.#verifiedGeneration = intact ? generation : -1
      return intact ? 'intact' : 'restored'
    })
  }

  /** Whether the loaded ruleset, of an earlier run perhaps, leaves loopback untracked. */
  presentUntracksLoopback(): Promise<boolean> {
    return presentUntracksLoopback()
  }

  /** The ruleset that is loaded, as far as is known. Each change of it is another object. */
  get loaded(): Loaded | undefined {
    return this.#loaded
  }

  /** Removes everything that `apply` has loaded. @throws CommandError (rejects) */
  remove(): Promise<void> {
    return this.#turns.run(async () => {
      this.#loaded = undefined
      await removeTable()
      await removeQueueRules(this.#queueRules)
    })
  }

  close(): void {
    this.#generation.close()
    this.#loader.close()
  }

  /**
   * Loads the table that another program has removed: at once what takes no time, since nothing is judged
   * meanwhile, and then all of it. In between, the fallback knows fewer destinations.
   */
  async #putBack(loaded: Loaded): Promise<void> {
    this.#isGone = false
    const users = renderQuarantinedUsers(this.#quarantined, this.#now())
    await this.#loader.run([this.#tableText, this.#factsText, users, ''].join('\n'))
    await this.#apply(loaded)
  }

  /** Loads the users first: the cgroup of a unit may be gone meanwhile, which is an error. */
  async #loadQuarantine(): Promise<void> {
    if (!this.#loaded) return
    const now = this.#now()
    const users = renderQuarantinedUsers(this.#quarantined, now)
    const units = this.matchesCgroups ? renderQuarantinedUnits(this.#quarantined, nftPathOf, now) : ''
    await this.#loadElements([users, ...(units === '' ? [] : [units])])
  }

  /**
   * Loads changes of elements. They are in no listing, so the rules need no check, unless another program has
   * changed a ruleset meanwhile.
   */
  async #loadElements(transactions: readonly string[]): Promise<void> {
    const before = await this.#generation.read()
    for (const each of transactions) await load(each)
    const after = await this.#generation.read()
    if (before === this.#verifiedGeneration && after === before + transactions.length)
      this.#verifiedGeneration = after
  }

  async #apply(loaded: Loaded, onLoaded?: () => void): Promise<void> {
    const { policy, facts } = loaded
    const options = { ...loaded.options, hasOpened: hasOpened(facts) }
    const now = this.#now()
    const factsText = renderSocketFacts(facts)
    const hosts = hasFallbackSets(loaded) ? renderHosts(policy, options, now) : []
    const table = render(policy, options, now)
    const sets = await presentSets()
    const isNew = sets === undefined
    const users = isNew ? [renderQuarantinedUsers(this.#quarantined, now)] : []
    const text = [table, factsText, ...hosts, ...users, ''].join('\n')
    // The queue rules come first: they match nothing until the table marks packets.
    await addQueueRules(this.#queueRules)
    try {
      await load(sets === undefined ? text : renderUpdate(text, options.form, sets))
    } catch (error) {
      // No ruleset of ours was loaded before, and none stays.
      if (sets === undefined) await removeQueueRules(this.#queueRules)
      throw error
    }
    onLoaded?.()
    this.#isGone = false
    this.#loaded = loaded
    this.#loadedAt = now
    const quick = quickPolicy(policy)
    this.#tableText = quick === policy ? table : render(quick, options, now)
    this.#factsText = factsText
    this.#loader.prepare()
    if (isNew && this.#quarantined.length > 0) await this.#loadQuarantine().catch(() => {})
    // When this fails, the next check puts the rules back.
    this.#listed = await listTable().catch(() => '')
  }
}
