import t from 'tap'
import { formatAddress } from '../../src/core/packet/address-text.js'
import { FormerAddresses } from '../../src/sessions/former-addresses.js'

const KEPT_S = 300
const texts = (former: FormerAddresses, now: number) =>
  former.list(now).map(({ family, words }) => formatAddress(family, words))

t.test('an address that has gone is remembered for five minutes', async (t) => {
  const former = new FormerAddresses()
  former.update(['198.51.100.1', '2001:db8::1'], 0)
  t.same(texts(former, 0), [], 'current addresses are not former ones')
  former.update(['198.51.100.1'], 10)
  t.same(texts(former, 10), ['2001:db8::1'])
  former.update([], 20)
  t.same(texts(former, 10 + KEPT_S - 1), ['2001:db8::1', '198.51.100.1'])
  t.same(texts(former, 10 + KEPT_S), ['198.51.100.1'])
  t.same(texts(former, 20 + KEPT_S), [])
})

t.test('an address that comes back is this host’s again', async (t) => {
  const former = new FormerAddresses()
  for (const [addresses, now] of [
    [['198.51.100.1'], 0],
    [[], 1],
    [['198.51.100.1'], 2],
  ] as const)
    former.update(addresses, now)
  t.same(texts(former, 2), [])
})

t.test('no more are remembered than the set in the kernel takes', async (t) => {
  const former = new FormerAddresses()
  former.update(
    Array.from({ length: 5000 }, (_, i) => `2001:db8::${(i + 1).toString(16)}`),
    0,
  )
  former.update([], 1)
  t.equal(former.list(1).length, 4096)
})

t.test('the loopback prefix, which has no single address, does no harm', async (t) => {
  const former = new FormerAddresses()
  former.update(['127.0.0.0/8'], 0)
  former.update([], 1)
  t.equal(former.list(1).length, 1)
})
