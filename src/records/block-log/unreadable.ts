import type { Broken } from './event-reader.js'

const TEXT: Readonly<Record<Broken, string>> = {
  'too-long': 'too long',
  'cut-short': 'cut short',
  'not-json': 'no JSON',
  'not-an-object': 'no event',
  'no-time': 'without a time',
  'no-action': 'without an action',
  'no-reason': 'without a reason',
  'no-count': 'without a count',
}

/** Counts what could not be read of a log, so that an operator knows that a result is incomplete. */
export class Unreadable {
  readonly counts = new Map<Broken, number>()
  readonly troubles: string[] = []

  line(why: Broken): void {
    this.counts.set(why, (this.counts.get(why) ?? 0) + 1)
  }

  trouble(text: string): void {
    this.troubles.push(text)
  }

  /** Adds the counts of another reader. */
  add({ counts, troubles }: { counts: ReadonlyMap<Broken, number>; troubles: readonly string[] }): void {
    for (const [why, lines] of counts) this.counts.set(why, (this.counts.get(why) ?? 0) + lines)
    this.troubles.push(...troubles)
  }

  get lines(): number {
    return [...this.counts.values()].reduce((sum, each) => sum + each, 0)
  }

  /** Returns notes for the operator, a line each; none when all lines were read. */
  notes(): string[] {
    const kinds = [...this.counts]
      .sort(([, a], [, b]) => b - a)
      .map(([why, lines]) => `${lines} ${TEXT[why]}`)
    const lines = `${this.lines} ${this.lines === 1 ? 'line is no event' : 'lines are no events'}: ${kinds.join(', ')}`
    return this.lines === 0 ? this.troubles : [...this.troubles, lines]
  }
}
