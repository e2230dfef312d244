/** Parses the output of `nft -j list ruleset` (libnftables-json(5)). Pure. */
import { isMapping } from '../../text/json.js'
import { changeOfStatement } from './mark-bits.js'
import type { Chain, ForeignRule, ForeignRules } from './rules-of-others.js'

type Json = Readonly<Record<string, unknown>>

export interface Listing extends ForeignRules {
  /** Family and name of each table. */
  readonly tables: readonly string[]
}

/** @throws SyntaxError when the text is no JSON */
export function parseNft(text: string): Listing {
  const { nftables } = JSON.parse(text) as Json
  const entries = Array.isArray(nftables) ? nftables.filter(isMapping) : []
  const of = (kind: string) => entries.flatMap((entry) => (isMapping(entry[kind]) ? [entry[kind]] : []))
  return {
    tables: of('table').map(({ family, name }) => `${family} ${name}`),
    chains: of('chain').map(chainOf),
    rules: of('rule').map(ruleOf),
  }
}

const chainOf = ({ family, table, name, hook, prio, policy }: Json): Chain => ({
  table: `${family} ${table}`,
  name: String(name),
  hook: typeof hook === 'string' ? hook : undefined,
  priority: typeof prio === 'number' ? prio : undefined,
  policy: typeof policy === 'string' ? policy : undefined,
})

function ruleOf({ family, table, chain, expr }: Json): ForeignRule {
  const statements = Array.isArray(expr) ? expr.filter(isMapping) : []
  return {
    table: `${family} ${table}`,
    chain: String(chain),
    change: statements.map(changeOfStatement).find((change) => change !== undefined),
    queue: statements.flatMap(queueOf)[0],
    isNotrack: statements.some((statement) => 'notrack' in statement),
    redirects: redirectionOf(statements),
    isSynproxy6: family !== 'ip' && statements.some((each) => 'synproxy' in each) && !statements.some(isIpv4),
    leadsTo: targetsIn(statements),
  }
}

/** Whether a statement lets IPv4 pass only: `meta nfproto ipv4`, or a field of its header. */
function isIpv4({ match }: Json): boolean {
  if (!isMapping(match) || !isMapping(match.left)) return false
  const { payload, meta } = match.left
  if (isMapping(payload)) return payload.protocol === 'ip'
  return isMapping(meta) && meta.key === 'nfproto' && match.right === 'ipv4'
}

function redirectionOf(statements: readonly Json[]): ForeignRule['redirects'] {
  if (statements.some((statement) => 'tproxy' in statement)) return 'tproxy'
  return statements.some((statement) => 'dnat' in statement || 'redirect' in statement) ? 'dnat' : undefined
}

/**
 * Reads `{ "queue": { "num": 5 } }`, or a range of numbers. Returns -1 for an expression, and nothing for
 * other statements.
 */
function queueOf(statement: Json): number[] {
  if (!('queue' in statement)) return []
  const num = isMapping(statement.queue) ? statement.queue.num : 0
  if (typeof num === 'number') return [num]
  const [first] = isMapping(num) && Array.isArray(num.range) ? num.range : []
  return [typeof first === 'number' ? first : -1]
}

/** Collects the targets of `jump` and `goto` at any depth: verdict maps contain them. */
function targetsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(targetsIn)
  if (!isMapping(value)) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    (key === 'jump' || key === 'goto') && isMapping(inner) ? [String(inner.target)] : targetsIn(inner),
  )
}
