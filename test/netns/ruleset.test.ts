import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Address } from '../../src/core/packet/ip.js'
import {
  type HostChanges,
  renderHostChanges,
  renderHosts,
  renderUpdate,
} from '../../src/core/ruleset/ruleset.js'
import { CASES, HOSTS, mirrorsOf, NOW, textOf, v4, v6 } from '../core/policies.js'
import { Namespace } from '../lab/namespace.js'
import { eventually } from './service.js'

const golden = (name: string) => new URL(`../../../test/golden/${name}.listed`, import.meta.url)

/** Returns a listing of nft without the remaining times, which change. */
const normal = (listed: string) => listed.replaceAll(/ expires [0-9a-z]+/g, '')

async function load(place: Namespace, text: string): Promise<void> {
  await place.run(['nft', '-f', '-'], { input: text })
}

async function list(place: Namespace): Promise<string> {
  return normal((await place.run(['nft', 'list', 'table', 'inet', 'checkvalve'])).stdout)
}

const native = CASES.filter(({ options }) => options.form === 'native')
const xtables = CASES.filter(({ options }) => options.form === 'xtables')

for (const one of xtables)
  t.test(
    `the kernel accepts the ruleset of "${one.name}", and lists it as the golden file does`,
    async (t) => {
      await using place = await Namespace.create('rules')
      const text = textOf(one)
      await load(place, text)
      const listed = await list(place)
      if (process.env.UPDATE_GOLDEN) writeFileSync(golden(one.name), listed)
      t.equal(listed, readFileSync(golden(one.name), 'utf8'))
      const sets = [...listed.matchAll(/set (\w+) \{/g)].map(([, set]) => set!)
      await load(place, renderUpdate(text, 'xtables', sets))
      // Sets that an update keeps are listed before those that it makes again.
      const lines = (text: string) => text.split('\n').sort()
      t.same(lines(await list(place)), lines(listed), 'an update to the same policy changes nothing')
    },
  )

/** A loaded table, and the sets of its mirrors. */
class LoadedTable {
  readonly #case = xtables[0]!

  private constructor(readonly place: Namespace) {}

  static async load(place: Namespace): Promise<LoadedTable> {
    const table = new LoadedTable(place)
    await load(place, textOf(table.#case))
    return table
  }

  get #index(): number {
    return this.#case.policy.rules.indexOf(mirrorsOf(this.#case.policy))
  }

  /** Renders changes of the learned addresses. @param hostTimeout seconds */
  transactions(changes: Partial<HostChanges>, hostTimeout = 86_400): string[] {
    const all = { added: [], removed: [], ...changes }
    return renderHostChanges(this.#case.policy, this.#index, all, { hostTimeout }, NOW)
  }

  async change(changes: Partial<HostChanges>, hostTimeout?: number): Promise<void> {
    for (const transaction of this.transactions(changes, hostTimeout)) await load(this.place, transaction)
  }

  /** Loads the whole ruleset again, as a reload does, with more commands in the same transaction. */
  async update(commands = ''): Promise<void> {
    const sets = [...(await list(this.place)).matchAll(/set (\w+) \{/g)].map(([, set]) => set!)
    await load(this.place, renderUpdate(`${textOf(this.#case)}\n${commands}`, 'xtables', sets))
  }

  /** Returns the addresses of both families in the sets, with their timeouts. */
  async elements(): Promise<Map<string, string>> {
    const sets = await Promise.all(
      [4, 6].map((family) =>
        this.place.run(['nft', 'list', 'set', 'inet', 'checkvalve', `rule${this.#index}_hosts${family}`]),
      ),
    )
    const found = sets.flatMap(({ stdout }) => [
      ...stdout.matchAll(/([0-9a-f.:]+) timeout (\w+) expires (\w+)/g),
    ])
    return new Map(found.map(([, address, timeout]) => [address!, timeout!]))
  }
}

/** Returns `count` different addresses, of both families. */
const many = (count: number): Address[] =>
  Array.from({ length: count }, (_, i) => (i % 2 === 0 ? v4(198, 18, i >> 8, i & 0xff) : v6(9, i)))

t.test('learned addresses are added to and removed from a loaded table', async (t) => {
  await using place = await Namespace.create('rules')
  const table = await LoadedTable.load(place)
  t.same([...(await table.elements()).keys()], ['198.51.100.2', '2001:db8::2'])
  await table.change({ added: [v4(198, 51, 100, 9)], removed: [HOSTS[0]!] })
  t.same([...(await table.elements()).keys()], ['198.51.100.9', '2001:db8::2'])
  await table.change({ removed: [HOSTS[1]!] })
  t.same([...(await table.elements()).keys()], ['198.51.100.9'])
})

t.test('an address that is added again gets a new timeout, and the others keep theirs', async (t) => {
  await using place = await Namespace.create('rules')
  const table = await LoadedTable.load(place)
  await table.change({ added: [HOSTS[0]!] }, 3600)
  t.same(
    await table.elements(),
    new Map([
      ['198.51.100.2', '1h'],
      ['2001:db8::2', '1d'],
    ]),
  )
})

t.test('an address that has timed out may be removed, and may be added again', async (t) => {
  await using place = await Namespace.create('rules')
  const table = await LoadedTable.load(place)
  const brief = [v4(198, 51, 100, 8), v4(198, 51, 100, 9), v6(0, 9)]
  await table.change({ added: brief }, 1)
  await eventually('the addresses time out', async () => (await table.elements()).size === HOSTS.length)
  await table.change({ added: [brief[1]!], removed: [brief[0]!, brief[2]!] })
  t.same([...(await table.elements()).keys()].sort(), ['198.51.100.2', '198.51.100.9', '2001:db8::2'])
  await table.change({ removed: [v4(198, 51, 100, 77)] })
  t.equal((await table.elements()).size, 3, 'an address that was never added may be removed')
})

t.test('thousands of addresses are added, renewed and removed', async (t) => {
  await using place = await Namespace.create('rules')
  const table = await LoadedTable.load(place)
  const hosts = many(5000)
  await table.change({ added: hosts })
  t.equal((await table.elements()).size, 5002)
  await table.change({ added: hosts.slice(0, 2500), removed: hosts.slice(2500) }, 7200)
  const left = await table.elements()
  t.equal(left.size, 2502)
  t.equal([...left.values()].filter((timeout) => timeout === '2h').length, 2500)
})

t.test(
  'an update loads the addresses of the policy, and changes of addresses in the same transaction',
  async (t) => {
    await using place = await Namespace.create('rules')
    const table = await LoadedTable.load(place)
    const hosts = many(500)
    await table.change({ added: [v4(198, 51, 100, 9)] })
    await table.update()
    t.same(
      [...(await table.elements()).keys()],
      ['198.51.100.2', '2001:db8::2'],
      'the update has the addresses of the policy only',
    )
    await table.update(table.transactions({ added: hosts, removed: [HOSTS[0]!] }).join('\n'))
    t.equal((await table.elements()).size, 501)
  },
)

t.test('an update loads all known addresses, and so does the next one', async (t) => {
  await using place = await Namespace.create('rules')
  const table = await LoadedTable.load(place)
  const { policy, options } = xtables[0]!
  const { addresses } = mirrorsOf(policy)
  const more = many(4000)
  for (const host of more) addresses.add(host)
  t.teardown(() => {
    for (const host of more) addresses.remove(host)
  })
  t.equal(renderHosts(policy, options, NOW).length, 6, 'the addresses are rendered in pieces')
  await table.update()
  t.equal((await table.elements()).size, 4002)
  await table.update()
  t.equal((await table.elements()).size, 4002)
})

for (const one of native)
  t.test(
    `nft accepts the native form of "${one.name}"; a kernel without queue statements refuses only these`,
    async (t) => {
      await using place = await Namespace.create('rules')
      const text = textOf(one)
      const { status, stderr } = await place.run(['nft', '-c', '-f', '-'], {
        input: text,
        allowFailure: true,
      })
      if (status === 0) {
        t.pass('this kernel has the native queue')
        return
      }
      const places = [...stderr.matchAll(/^\S+:(\d+):.*Error: (.*)$/gm)].map(([, line, error]) => [
        Number(line),
        error,
      ])
      const queueLines = text.split('\n').flatMap((line, i) => (/(^| )queue /.test(line) ? [i + 1] : []))
      t.strictSame(
        places,
        queueLines.map((line) => [line, 'Could not process rule: No such file or directory']),
      )
    },
  )
