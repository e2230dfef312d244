/**
 * Measures the gap after another program has flushed the whole ruleset (`nft flush ruleset`): milliseconds until no
 * packet leaves unjudged any more, and the packets that left in it. A flood runs all the while, so the service and
 * the programs it starts share the cores with it.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Namespace } from '../../test/lab/namespace.js'
import type { Contender, Figures, Part } from '../frame.js'
import { withGuard } from '../host.js'
import { startFlood } from '../load.js'
import { checkvalve } from '../peers/checkvalve.js'

const PATIENCE_MS = 20_000

/** Returns the packets that have left for the victims (proc_net(5)): with the rules loaded there are no more. */
function left(web: Namespace): number {
  const line = /^\s*to-victims:(.*)$/m.exec(readFileSync(`/proc/${web.pid}/net/dev`, 'utf8'))![1]!
  return Number(line.trim().split(/\s+/)[9])
}

/** Flushes, and watches the link until nothing has left for a second. */
async function flushed(web: Namespace): Promise<Figures> {
  const before = left(web)
  const begin = performance.now()
  const flushing = web.run(['nft', 'flush', 'ruleset'])
  let [seen, first, last] = [before, begin, begin]
  while (performance.now() - last < 1000) {
    const now = left(web)
    if (now !== seen) {
      last = performance.now()
      if (seen === before) first = last
      seen = now
    }
    await sleep(1)
    if (performance.now() - begin > PATIENCE_MS) throw new Error('the rules were not put back')
  }
  await flushing
  return { milliseconds: last - first, packets: seen - before }
}

const contender = (prefixes: number): Contender => ({
  name: `${prefixes} prefixes`,
  measure: (seconds) =>
    withGuard(checkvalve, { block: 'drop', prefixes }, async ({ web }) => {
      await sleep(seconds * 1000)
      startFlood(web)
      await sleep(seconds * 1000)
      return flushed(web)
    }),
})

export const flush: Part = {
  name: 'flush',
  title:
    'How long nothing is judged after another program has flushed all rules in a flood, and what leaves meanwhile.',
  comparisons: () => [
    {
      name: 'a flushed ruleset',
      columns: [
        { key: 'milliseconds', title: 'ms' },
        { key: 'packets', title: 'packets that left' },
      ],
      contenders: [contender(10), contender(10_000)],
    },
  ],
}
