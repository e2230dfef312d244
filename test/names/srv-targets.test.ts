import t from 'tap'
import { ServiceTable } from '../../src/names/srv-targets.js'

const SERVICE = '_http._tcp.mirror.example.org'
const OTHER = '_http._tcp.other.example.org'
const NOW = 1_800_000_000_000
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const ONE = { name: 'a.example.org', port: 80 }
const TWO = { name: 'b.example.org', port: 80 }

function table() {
  const services = new ServiceTable(() => 300)
  services.keep([SERVICE])
  return services
}

t.test('new targets are reported; the same targets again are not', async (t) => {
  const its = table()
  t.equal(its.learn(SERVICE, { targets: [ONE], ttl: 60 }, NOW), true)
  t.equal(its.learn(SERVICE, { targets: [{ ...ONE }], ttl: 60 }, NOW), false)
  t.equal(its.learn(SERVICE, { targets: [ONE, TWO], ttl: 60 }, NOW), true)
  t.same(its.targets(SERVICE), [ONE, TWO])
})

t.test('the same host at two ports is two targets', async (t) => {
  const its = table()
  its.learn(SERVICE, { targets: [ONE, { ...ONE, port: 8080 }], ttl: 60 }, NOW)
  t.equal(its.targets(SERVICE).length, 2)
})

t.test('services that no rule needs are not learned, and those that are dropped are removed', async (t) => {
  const its = table()
  t.equal(its.learn(OTHER, { targets: [ONE], ttl: 60 }, NOW), false)
  t.same([its.has(OTHER), its.targets(OTHER)], [false, []])
  its.learn(SERVICE, { targets: [ONE], ttl: 60 }, NOW)
  its.keep([SERVICE, OTHER])
  t.same(its.targets(SERVICE), [ONE], 'a service that stays wanted keeps its targets')
  its.keep([OTHER])
  t.same([its.has(SERVICE), its.has(OTHER), its.targets(SERVICE)], [false, true, []])
})

t.test('a target that is missing in later answers is removed after its TTL and the grace', async (t) => {
  const its = table()
  its.learn(SERVICE, { targets: [ONE], ttl: 60 }, NOW)
  its.learn(SERVICE, { targets: [TWO], ttl: 60 }, NOW + 1000)
  t.equal(its.expire(NOW + 359_999), false)
  t.same(its.targets(SERVICE), [ONE, TWO])
  t.equal(its.expire(NOW + 360_000), true)
  t.same(its.targets(SERVICE), [TWO])
})

t.test('the last good answer is kept while no answer has a target', async (t) => {
  const its = table()
  its.learn(SERVICE, { targets: [ONE, TWO], ttl: 60 }, NOW)
  its.learn(SERVICE, { targets: [], ttl: 60 }, NOW + DAY)
  t.equal(its.expire(NOW + 30 * DAY), false)
  t.same(its.targets(SERVICE), [ONE, TWO])
})

t.test('an answer without a target changes nothing', async (t) => {
  const its = table()
  t.equal(its.expire(NOW), false)
  t.equal(its.learn(SERVICE, { targets: [], ttl: 60 }, NOW), false)
})

t.test('all targets are returned, for the next start', async (t) => {
  const its = table()
  its.keep([SERVICE, OTHER])
  its.learn(SERVICE, { targets: [ONE], ttl: 60 }, NOW)
  t.same(
    [...its.all()],
    [
      [SERVICE, [ONE]],
      [OTHER, []],
    ],
  )
})

t.test('a target that appears in every answer outlives the others', async (t) => {
  const its = table()
  for (let i = 0; i < 100; i++)
    its.learn(SERVICE, { targets: [{ name: `t${i}.example.org`, port: 80 }, ONE], ttl: 60 }, NOW + i * MINUTE)
  t.ok(its.targets(SERVICE).some(({ name }) => name === ONE.name))
  t.equal(
    its.learn(SERVICE, { targets: [ONE], ttl: 60 }, NOW + 100 * MINUTE),
    false,
    'the target is not reported again',
  )
})

t.test('rotating targets are bounded: each of them allows a host and a port', async (t) => {
  const its = table()
  for (let i = 0; i < 1000; i++)
    its.learn(SERVICE, { targets: [{ name: `t${i}.example.org`, port: 80 }], ttl: 86_400 }, NOW + i * MINUTE)
  t.same(
    its.targets(SERVICE).map(({ name }) => name),
    Array.from({ length: 16 }, (_, i) => `t${984 + i}.example.org`),
    'the newest targets are kept',
  )
})

t.test('a resolver that answers with new targets each time causes few new policies', async (t) => {
  const its = table()
  let reported = 0
  for (let i = 0; i < 3000; i++)
    reported += Number(
      its.learn(SERVICE, { targets: [{ name: `t${i}.example.org`, port: 80 }], ttl: 0 }, NOW + i * 200),
    )
  t.equal(reported, 32, '16 changes are accepted at once, and 16 in the next five minutes')
})
