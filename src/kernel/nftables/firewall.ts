import type { Policy, Rule } from '../../core/policy/policy.js'
import { marksOf } from '../../core/ruleset/marks.js'
import {
  type HostChanges,
  type QueueForm,
  type RulesetOptions,
  render,
  renderHostChanges,
  renderHosts,
  renderSocketFacts,
  renderUpdate,
  type SocketFacts,
  TABLE,
} from '../../core/ruleset/ruleset.js'
import { SerialQueue } from '../../system/serial-queue.js'
import { accepts, listTable, load, presentSets, removeTable } from './nft.js'
import { RulesetGeneration } from './ruleset-generation.js'
import { addQueueRule, hasQueueRule, type QueueRule, queueRules, removeQueueRule } from './xtables.js'

/** What of the ruleset does not change while the service runs. */
export type FirewallOptions = Pick<RulesetOptions, 'form' | 'queue' | 'mask'>

/** A ruleset as it was loaded, to be put back if someone takes it away. */
export interface Loaded {
  readonly policy: Policy
  readonly options: Omit<RulesetOptions, 'hasOpened'>
  readonly facts: SocketFacts
}

/** Whether the kernel has a copy of the allowlist at all. */
const hasFallbackSets = ({ policy, options }: Loaded) =>
  policy.mode === 'enforce' && options.fallback === 'static'

/** Few changes are one transaction, many are several: their length in characters is a measure of it. */
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

/** So often the rules of xtables are looked for though no change of nftables was seen. */
const CHECK_MS = 10_000

/** The kernel's half of the valve in this network namespace. Its changes happen one after the other. */
export class Firewall {
  readonly form: QueueForm
  readonly #queueRules: readonly QueueRule[]
  readonly #generation: RulesetGeneration
  readonly #now: () => number
  readonly #turns = new SerialQueue()
  #loaded: Loaded | undefined
  /** Milliseconds since the epoch. */
  #loadedAt = 0
  /** What the sockets told when it was loaded last. */
  #factsText = ''
  #listed = ''
  #verifiedGeneration = -1
  #nextCheck = 0

  /** @param now milliseconds since the epoch @param onChange someone has changed some ruleset: look after ours */
  constructor(options: FirewallOptions, now: () => number, onChange: () => void) {
    const { form, queue, mask } = options
    this.form = form
    // The rules do not depend on the generation of the policy.
    this.#queueRules = form === 'xtables' ? queueRules(marksOf(mask, 1), queue) : []
    this.#now = now
    this.#generation = new RulesetGeneration(onChange)
  }

  /**
   * Loads a policy in the place of the one before, in one transaction. @param onStand is called as soon as the kernel has it
   * @throws CommandError (rejects) and then the one before stands
   */
  apply(loaded: Loaded, onStand?: () => void): Promise<void> {
    return this.#turns.run(() => this.#apply(loaded, onStand))
  }

  /** What has changed of the addresses of rules' names. Rules of another policy are passed over. @throws CommandError (rejects) */
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
    })
  }

  /** What the sockets tell now; nothing is done where the kernel has it already. @throws CommandError (rejects) */
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
   * Looks whether the ruleset still stands, and puts it back if not.
   * @returns what was done @throws CommandError, NetlinkError (rejects)
   */
  verify(): Promise<'intact' | 'restored'> {
    return this.#turns.run(async () => {
      const generation = await this.#generation.read()
      const now = this.#now()
      const due = this.#queueRules.length > 0 && now >= this.#nextCheck
      const changed = generation !== this.#verifiedGeneration
      if (!this.#loaded || (!changed && !due)) return 'intact'
      if (due) this.#nextCheck = now + CHECK_MS
      const intact = (!changed || (await listTable()) === this.#listed) && (await this.#hasQueueRules())
      if (!intact) await this.#apply(this.#loaded)
      this.#verifiedGeneration = intact ? generation : -1
      return intact ? 'intact' : 'restored'
    })
  }

  /** Whether a ruleset is loaded, as far as is known. */
  get present(): boolean {
    return this.#loaded !== undefined
  }

  /** Takes everything away that `apply` has put there. @throws CommandError (rejects) */
  remove(): Promise<void> {
    return this.#turns.run(async () => {
      this.#loaded = undefined
      await removeTable()
      await this.#removeQueueRules()
    })
  }

  close(): void {
    this.#generation.close()
  }

  /**
   * Our own changes of elements, which stand in no listing, need no look at the rules, unless somebody else's change has
   * come between.
   */
  async #loadElements(transactions: readonly string[]): Promise<void> {
    const before = await this.#generation.read()
    for (const each of transactions) await load(each)
    const after = await this.#generation.read()
    if (before === this.#verifiedGeneration && after === before + transactions.length)
      this.#verifiedGeneration = after
  }

  async #apply(loaded: Loaded, onStand?: () => void): Promise<void> {
    const { policy, facts } = loaded
    const options = { ...loaded.options, hasOpened: hasOpened(facts) }
    const now = this.#now()
    const factsText = renderSocketFacts(facts)
    const hosts = hasFallbackSets(loaded) ? renderHosts(policy, options, now) : []
    const text = [render(policy, options, now), factsText, ...hosts, ''].join('\n')
    const sets = await presentSets()
    // The queue rules first: until the table marks packets, they match none.
    for (const rule of this.#queueRules) await addQueueRule(rule)
    try {
      await load(sets === undefined ? text : renderUpdate(text, options.form, sets))
    } catch (error) {
      // Nothing of ours was there before, and nothing of ours stays.
      if (sets === undefined) await this.#removeQueueRules()
      throw error
    }
    onStand?.()
    this.#loaded = loaded
    this.#loadedAt = now
    this.#factsText = factsText
    // Where that fails, the next look at the rules puts them back.
    this.#listed = await listTable().catch(() => '')
  }

  async #hasQueueRules(): Promise<boolean> {
    for (const rule of this.#queueRules) if (!(await hasQueueRule(rule))) return false
    return true
  }

  async #removeQueueRules(): Promise<void> {
    for (const rule of this.#queueRules) await removeQueueRule(rule)
  }
}

/**
 * The form of the queue that this kernel takes: nftables' own `queue` statement, or xtables where it is missing. Found out
 * by trying, without changing anything: a chain without a hook, for one that goes away again drops every packet that
 * waits in a queue.
 */
export async function chooseForm(wanted: 'auto' | QueueForm): Promise<QueueForm> {
  if (wanted !== 'auto') return wanted
  const probe = `table ${TABLE}_probe {
    chain probe { meta mark 1 queue flags bypass to 0; }
  }`
  return (await accepts(probe)) ? 'native' : 'xtables'
}
