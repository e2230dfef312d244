/** Runs the `nft` program: text in, text or JSON out. */
import { COUNTERS, counterName, type KernelCounter, TABLE } from '../../core/ruleset/ruleset.js'
import { CommandError, type CommandLine, command } from '../../system/run-command.js'

/** Loads the commands on its standard input in one transaction. */
export const LOAD: CommandLine = ['nft', '-f', '-']

/** Loads commands in one transaction: all or nothing. @throws CommandError (rejects) */
export async function load(text: string): Promise<void> {
  await command(LOAD, text)
}

/** Whether the kernel would take the commands. Changes nothing. */
export async function accepts(text: string): Promise<boolean> {
  try {
    await command(['nft', '-c', '-f', '-'], text)
    return true
  } catch (error) {
    if (error instanceof CommandError && error.missing) throw error
    return false
  }
}

interface Listed {
  readonly nftables: readonly Record<string, Record<string, unknown>>[]
}

// For most listings nft 1.0.6 reads every element of every set, printed or not, which takes seconds when an
// attacker has filled some. It does not for the listings used here: chains; and, with -t, sets and the
// ruleset.
const FAMILY = TABLE.split(' ')[0]!

async function list(...what: string[]): Promise<Listed['nftables']> {
  return (JSON.parse(await command(['nft', '-j', '-t', 'list', ...what])) as Listed).nftables
}

const isOurs = (entry: Record<string, unknown> | undefined): entry is Record<string, unknown> =>
  entry !== undefined && `${entry.family} ${entry.table}` === TABLE

/** Whether the table is there. @throws CommandError (rejects) */
export async function presentTable(): Promise<boolean> {
  return (await list('chains', FAMILY)).some(({ chain }) => isOurs(chain))
}

/**
 * Lists the names of the sets of the table. Returns undefined when there is no table. @throws CommandError
 * (rejects)
 */
export async function presentSets(): Promise<string[] | undefined> {
  if (!(await presentTable())) return undefined
  const sets = await list('sets', FAMILY)
  return sets.flatMap(({ set }) => (isOurs(set) ? [String(set.name)] : []))
}

/**
 * Lists the table as nft prints it, without counters and elements. Returns '' when there is no table. @throws
 * CommandError (rejects)
 */
export async function listTable(): Promise<string> {
  const rules = await command(['nft', '-s', '-t', 'list', 'ruleset', FAMILY])
  const start = rules.indexOf(`table ${TABLE} {\n`)
  return start < 0 ? '' : rules.slice(start, rules.indexOf('\n}\n', start) + 3)
}

/**
 * Whether loaded rules of an earlier run exempt loopback from connection tracking. @throws CommandError
 * (rejects)
 */
export async function presentUntracksLoopback(): Promise<boolean> {
  return (await listTable()).includes('oif "lo" notrack')
}

/** Reads the packets of each named counter; none when there is no table. @throws CommandError (rejects) */
export async function counters(): Promise<Map<KernelCounter, number>> {
  const listed = await list('ruleset')
  const found = new Map(
    listed.flatMap(({ counter }) => (isOurs(counter) ? [[counter.name, Number(counter.packets)]] : [])),
  )
  return new Map(
    COUNTERS.flatMap((counter) => {
      const packets = found.get(counterName(counter))
      return packets === undefined ? [] : [[counter, packets] as const]
    }),
  )
}

/**
 * Reads how many packets of each user the kernel has refused itself, since the table was loaded. @throws CommandError
 * (rejects)
 */
export async function refusedByUser(): Promise<Map<number, number>> {
  const listed = await command(['nft', '-j', 'list', 'set', ...TABLE.split(' '), 'refused_users'])
  const refused = new Map<number, number>()
  for (const { set } of (JSON.parse(listed) as Listed).nftables)
    for (const { elem } of (set?.elem ?? []) as { elem: RefusedUser }[])
      refused.set(Number(elem.val), elem.counter.packets)
  return refused
}

interface RefusedUser {
  readonly val: number
  readonly counter: { readonly packets: number }
}

export async function removeTable(): Promise<void> {
  // `add` comes first, since deleting a table that is not there is an error.
  await load(`add table ${TABLE}\ndelete table ${TABLE}\n`)
}
