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

/** What nft lists, without the time that has passed since. */
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
  t.test(`the kernel takes the policy "${one.name}", and lists it as the golden one`, async (t) => {
    await using place = await Namespace.create('rules')
    const text = textOf(one)
    await load(place, text)
    const listed = await list(place)
    if (process.env.UPDATE_GOLDEN) writeFileSync(golden(one.name), listed)
    t.equal(listed, readFileSync(golden(one.name), 'utf8'))
    const sets = [...listed.matchAll(/set (\w+) \{/g)].map(([, set]) => set!)
    await load(place, renderUpdate(text, 'xtables', sets))
    // Sets that an update keeps are listed before those that it makes anew.
    const lines = (text: string) => text.split('\n').sort()
    t.same(lines(await list(place)), lines(listed), 'an update to the same policy changes nothing')
  })

/** A table that stands, and the sets of its mirrors. */
class Standing {
  readonly #case = xtables[0]!

  private constructor(readonly place: Namespace) {}

  static async load(place: Namespace): Promise<Standing> {
    const standing = new Standing(place)
    await load(place, textOf(standing.#case))
    return standing
  }

  get #index(): number {
    return this.#case.policy.rules.indexOf(mirrorsOf(this.#case.policy))
  }

  /** @param hostTimeout seconds */
  transactions(changes: Partial<HostChanges>, hostTimeout = 86_400): string[] {
    const all = { added: [], removed: [], ...changes }
    return renderHostChanges(this.#case.policy, this.#index, all, { hostTimeout }, NOW)
  }

  async change(changes: Partial<HostChanges>, hostTimeout?: number): Promise<void> {
    for (const transaction of this.transactions(changes, hostTimeout)) await load(this.place, transaction)
  }

  /** The whole ruleset anew, as a reload does it, with more commands in the same transaction. */
  async update(commands = ''): Promise<void> {
    const sets = [...(await list(this.place)).matchAll(/set (\w+) \{/g)].map(([, set]) => set!)
    await load(this.place, renderUpdate(`${textOf(this.#case)}\n${commands}`, 'xtables', sets))
  }

  /** Addresses and their timeouts, of both families. */
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

/** As many different addresses as wanted, of both families. */
const many = (count: number): Address[] =>
  Array.from({ length: count }, (_, i) => (i % 2 === 0 ? v4(198, 18, i >> 8, i & 0xff) : v6(9, i)))

t.test('learned addresses come and go in a table that stands', async (t) => {
  await using place = await Namespace.create('rules')
  const standing = await Standing.load(place)
  t.same([...(await standing.elements()).keys()], ['198.51.100.2', '2001:db8::2'])
  await standing.change({ added: [v4(198, 51, 100, 9)], removed: [HOSTS[0]!] })
  t.same([...(await standing.elements()).keys()], ['198.51.100.9', '2001:db8::2'])
  await standing.change({ removed: [HOSTS[1]!] })
  t.same([...(await standing.elements()).keys()], ['198.51.100.9'])
})

t.test('an address that is told again has a new timeout, the others keep theirs', async (t) => {
  await using place = await Namespace.create('rules')
  const standing = await Standing.load(place)
  await standing.change({ added: [HOSTS[0]!] }, 3600)
  t.same(
    await standing.elements(),
    new Map([
      ['198.51.100.2', '1h'],
      ['2001:db8::2', '1d'],
    ]),
  )
})

t.test('what a timeout has taken away already may be removed, and may come again', async (t) => {
  await using place = await Namespace.create('rules')
  const standing = await Standing.load(place)
  const brief = [v4(198, 51, 100, 8), v4(198, 51, 100, 9), v6(0, 9)]
  await standing.change({ added: brief }, 1)
  await eventually('they time out', async () => (await standing.elements()).size === HOSTS.length)
  await standing.change({ added: [brief[1]!], removed: [brief[0]!, brief[2]!] })
  t.same([...(await standing.elements()).keys()].sort(), ['198.51.100.2', '198.51.100.9', '2001:db8::2'])
  await standing.change({ removed: [v4(198, 51, 100, 77)] })
  t.equal((await standing.elements()).size, 3, 'what never was there may be removed as well')
})

t.test('thousands of addresses come, are renewed and go', async (t) => {
  await using place = await Namespace.create('rules')
  const standing = await Standing.load(place)
  const hosts = many(5000)
  await standing.change({ added: hosts })
  t.equal((await standing.elements()).size, 5002)
  await standing.change({ added: hosts.slice(0, 2500), removed: hosts.slice(2500) }, 7200)
  const left = await standing.elements()
  t.equal(left.size, 2502)
  t.equal([...left.values()].filter((timeout) => timeout === '2h').length, 2500)
})

t.test('an update takes changes along', async (t) => {
  await using place = await Namespace.create('rules')
  const standing = await Standing.load(place)
  const hosts = many(500)
  await standing.change({ added: [v4(198, 51, 100, 9)] })
  await standing.update()
  t.same([...(await standing.elements()).keys()], ['198.51.100.2', '2001:db8::2'], 'its own addresses alone')
  await standing.update(standing.transactions({ added: hosts, removed: [HOSTS[0]!] }).join('\n'))
  t.equal((await standing.elements()).size, 501)
})

t.test('a policy is loaded with all addresses that are known, and anew in an update', async (t) => {
  await using place = await Namespace.create('rules')
  const standing = await Standing.load(place)
  const { policy, options } = xtables[0]!
  const { addresses } = mirrorsOf(policy)
  const more = many(4000)
  for (const host of more) addresses.add(host)
  t.teardown(() => {
    for (const host of more) addresses.remove(host)
  })
  t.equal(renderHosts(policy, options, NOW).length, 4, 'in pieces')
  await standing.update()
  t.equal((await standing.elements()).size, 4002)
  await standing.update()
  t.equal((await standing.elements()).size, 4002)
})

for (const one of native)
  t.test(
    `nft reads the native form "${one.name}"; where the kernel has no queue, only that is refused`,
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
