/** The `nft` program: text in, text or JSON out. */
import { type KernelCounter, TABLE } from '../core/ruleset.js'
import { CommandError, command } from './command.js'

/** Loads commands in one transaction: all or nothing. @throws CommandError (rejects) */
export async function load(text: string): Promise<void> {
  await command(['nft', '-f', '-'], text)
}

/** Whether the kernel would take the commands; nothing is changed. */
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

async function list(what: string): Promise<Listed['nftables']> {
  const listed = JSON.parse(await command(['nft', '-j', 'list', ...what.split(' ')])) as Listed
  return listed.nftables
}

/** Names of the sets of the table; undefined where there is no table. @throws CommandError (rejects) */
export async function presentSets(): Promise<string[] | undefined> {
  const family = TABLE.split(' ')[0]
  const tables = await list('tables')
  if (!tables.some(({ table }) => table && `${table.family} ${table.name}` === TABLE)) return undefined
  const sets = await list(`sets ${family}`)
  return sets.flatMap(({ set }) => (set && `${set.family} ${set.table}` === TABLE ? [String(set.name)] : []))
}

/** Whether the rules of an earlier run keep loopback from being tracked. @throws CommandError (rejects) */
export async function presentUntracksLoopback(): Promise<boolean> {
  if ((await presentSets()) === undefined) return false
  const text = await command(['nft', '-s', '-t', 'list', 'table', ...(TABLE.split(' ') as [string, string])])
  return /oif "lo" notrack/.test(text)
}

/** The packets of each named counter. @throws CommandError (rejects), also where there is no table */
export async function counters(): Promise<Map<KernelCounter, number>> {
  const listed = await list(`counters table ${TABLE}`)
  return new Map(
    listed.flatMap(({ counter }) =>
      counter ? [[counter.name as KernelCounter, Number(counter.packets)] as const] : [],
    ),
  )
}

export async function removeTable(): Promise<void> {
  // `add` first: deleting what is not there is an error.
  await load(`add table ${TABLE}\ndelete table ${TABLE}\n`)
}
