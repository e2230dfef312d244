/** These tests check the target selection of the worms that the benchmarks let loose: bench/worms/worm.c. */
import { execFileSync } from 'node:child_process'
import ipaddr from 'ipaddr.js'
import t, { type Test } from 'tap'
import { compiled } from './compiled.js'

const N = 20_000
const OWN = { 4: '203.0.113.254', 6: '2001:db8:113::254' } as const

/** A target, with the time at which the worm would send to it, in milliseconds. */
interface Target {
  readonly at: number
  readonly address: string
  readonly port: number
  readonly bytes: readonly number[]
}

const worm = compiled('worm')

function targets(kind: string, family: 4 | 6 = 4, seed = 1): Target[] {
  const options = ['--print', `${N}`, '--seed', `${seed}`, '--own', OWN[family]]
  const argv = [kind, ...options, ...(family === 6 ? ['-6'] : [])]
  const lines = execFileSync(worm, argv, { encoding: 'utf8' }).trimEnd().split('\n')
  return lines.map((line) => {
    const [at, address = '', port] = line.split(' ')
    return { at: Number(at), address, port: Number(port), bytes: ipaddr.parse(address).toByteArray() }
  })
}

/** Returns the share of targets whose first bytes are those of the worm's own host. */
function share(all: readonly Target[], family: 4 | 6, bytes: number): number {
  const own = ipaddr.parse(OWN[family]).toByteArray().slice(0, bytes)
  return all.filter((each) => own.every((byte, i) => each.bytes[i] === byte)).length / all.length
}

/** Checks a share: with 20,000 targets it is within 2% of what it has to be. */
const near = (t: Test, found: number, wanted: number, what: string) =>
  t.ok(Math.abs(found - wanted) < 0.02, `${what}: ${found} is ${wanted}`)

for (const family of [4, 6] as const) {
  const [wide, narrow] = family === 4 ? [1, 2] : [4, 8]
  t.test(`IPv${family}: targets near the own host have their published shares`, async (t) => {
    const codeRed = targets('code-red', family)
    near(t, share(codeRed, family, narrow), 3 / 8, 'Code Red II, same /16')
    near(t, share(codeRed, family, wide), 7 / 8, 'Code Red II, same /8, those of the same /16 among them')
    const nimda = targets('nimda', family)
    near(t, share(nimda, family, narrow), 1 / 2, 'Nimda, same /16')
    near(t, share(nimda, family, wide), 3 / 4, 'Nimda, same /8, those of the same /16 among them')
    for (const kind of ['slammer', 'mirai'])
      near(t, share(targets(kind, family), family, wide), family === 4 ? 1 / 256 : 0, `${kind}, same /8`)
  })
}

t.test('ports are those of the worms: Mirai tries 2323 at one target of ten', async (t) => {
  for (const [kind, port] of [
    ['code-red', 80],
    ['nimda', 80],
    ['slammer', 1434],
    ['slow', 443],
  ] as const)
    t.same([...new Set(targets(kind).map((each) => each.port))], [port], kind)
  const mirai = targets('mirai').map(({ port }) => port)
  t.same(
    [mirai.filter((port) => port === 23).length, mirai.filter((port) => port === 2323).length],
    [0.9 * N, 0.1 * N],
  )
})

const EXCLUDED = [
  '0.0.0.0/8',
  '3.0.0.0/8',
  '6.0.0.0/8',
  '7.0.0.0/8',
  '10.0.0.0/8',
  '11.0.0.0/8',
  '15.0.0.0/8',
  '16.0.0.0/8',
  '21.0.0.0/8',
  '22.0.0.0/8',
  '26.0.0.0/8',
  '28.0.0.0/8',
  '29.0.0.0/8',
  '30.0.0.0/8',
  '33.0.0.0/8',
  '55.0.0.0/8',
  '56.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '214.0.0.0/8',
  '215.0.0.0/8',
  '224.0.0.0/3',
].map((prefix) => ipaddr.parseCIDR(prefix))

/** Returns the networks of the list that have a target, as first byte: those of 8 bits and less are always met. */
const met = (all: readonly Target[]) =>
  EXCLUDED.filter((prefix) => all.some(({ address }) => ipaddr.parse(address).match(prefix))).map(
    ([network, length]) => `${network}/${length}`,
  )

t.test('Mirai leaves its excluded networks out, and reaches all others', async (t) => {
  const all = targets('mirai')
  t.same(met(all), [])
  const firsts = new Set(all.map(({ bytes }) => bytes[0]))
  const whole = EXCLUDED.filter(([, length]) => length <= 8).flatMap(([network, length]) =>
    Array.from({ length: 2 ** (8 - length) }, (_, i) => network.toByteArray()[0]! + i),
  )
  t.same(firsts.size, 256 - whole.length, 'every first byte that is not excluded is met')
  t.ok(met(targets('slammer')).length >= 20, 'a worm without the list meets its networks')
})

t.test('no target is an address that no packet leaves for, nor the own one', async (t) => {
  for (const kind of ['code-red', 'nimda', 'slammer', 'mirai', 'slow']) {
    const firsts = targets(kind).map(({ bytes }) => bytes[0]!)
    t.notOk(
      firsts.some((first) => first === 0 || first === 127 || first >= 224),
      kind,
    )
    t.notOk(targets(kind).some(({ address }) => address === OWN[4]))
  }
})

t.test('rates: Nimda has 400 targets a second, and the slow one less than ten in ten seconds', async (t) => {
  t.equal(targets('nimda').filter(({ at }) => at < 1000).length, 400)
  const slow = targets('slow')
  const windows = slow.map(
    ({ at }, i) => slow.slice(i, i + 10).filter((each) => each.at < at + 10_000).length,
  )
  t.ok(Math.max(...windows) < 10, `${Math.max(...windows)} targets in ten seconds`)
  t.same(targets('mirai').at(-1)!.at, 0, 'others have no pause')
})

t.test('a seed makes the same targets again, and another seed others', async (t) => {
  const addresses = (seed: number) => targets('slammer', 4, seed).map(({ address }) => address)
  t.same(addresses(7), addresses(7))
  const first = new Set(addresses(7))
  t.ok(addresses(8).filter((address) => first.has(address)).length < 10)
})
