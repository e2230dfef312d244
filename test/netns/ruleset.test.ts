import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { render, renderHosts, renderUpdate } from '../../src/core/ruleset.js'
import { CASES, HOSTS, mirrorsOf, NOW } from '../core/policies.js'
import { Namespace } from '../lab/namespace.js'

const golden = (name: string) => new URL(`../../../test/golden/${name}.listed`, import.meta.url)

/** What nft lists, without the time that has passed since. */
const normal = (listed: string) => listed.replaceAll(/ expires [0-9a-z]+/g, '')

async function list(place: Namespace): Promise<string> {
  return normal((await place.run(['nft', 'list', 'table', 'inet', 'checkvalve'])).stdout)
}

const native = CASES.filter(({ options }) => options.form === 'native')
const xtables = CASES.filter(({ options }) => options.form === 'xtables')

for (const { name, policy, options, hosts } of xtables)
  t.test(`the kernel takes the policy "${name}", and lists it as the golden one`, async (t) => {
    await using place = await Namespace.create('rules')
    const text = render(policy, options, hosts, NOW)
    await place.run(['nft', '-f', '-'], { input: text })
    const listed = await list(place)
    if (process.env.UPDATE_GOLDEN) writeFileSync(golden(name), listed)
    t.equal(listed, readFileSync(golden(name), 'utf8'))
    const sets = [...listed.matchAll(/set (\w+) \{/g)].map(([, set]) => set!)
    await place.run(['nft', '-f', '-'], { input: renderUpdate(text, 'xtables', sets) })
    // Sets that an update keeps are listed before those that it makes anew.
    const lines = (text: string) => text.split('\n').sort()
    t.same(lines(await list(place)), lines(listed), 'an update to the same policy changes nothing')
  })

t.test('learned addresses are swapped in a table that stands', async (t) => {
  await using place = await Namespace.create('rules')
  const { policy, options, hosts } = xtables[0]!
  await place.run(['nft', '-f', '-'], { input: render(policy, options, hosts, NOW) })
  const index = policy.rules.indexOf(mirrorsOf(policy))
  await place.run(['nft', '-f', '-'], {
    input: renderHosts(index, [{ ...HOSTS[0]!, words: Uint32Array.of(0xc6336409, 0, 0, 0) }], 60),
  })
  const listed = await list(place)
  t.match(listed, /elements = \{ 198\.51\.100\.9 timeout 1m \}/)
  t.notMatch(listed, /2001:db8::2 /)
})

for (const { name, policy, options, hosts } of native)
  t.test(
    `nft reads the native form "${name}"; where the kernel has no queue, only that is refused`,
    async (t) => {
      await using place = await Namespace.create('rules')
      const text = render(policy, options, hosts, NOW)
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
      const queueLine = text.split('\n').findIndex((line) => line.includes(' queue ')) + 1
      t.strictSame(places, [[queueLine, 'Could not process rule: No such file or directory']])
    },
  )
