import t from 'tap'
import type { Config } from '../../src/config/config.js'
import { formatAddress } from '../../src/core/packet/address-text.js'
import type { Address, Family } from '../../src/core/packet/ip.js'
import { canaryTargets } from '../../src/packet-path/canary-targets.js'
import { words } from '../core/packets.js'
import { policy, prefix, rule } from '../core/rules.js'

const CONFIG = {
  canary: { target: { host: '192.0.2.1', family: 4, words: words('192.0.2.1'), port: 9 }, interval: 30 },
} as unknown as Config

/** Chooses on a host with these routes. `isRouted` says what its kernel knows; all addresses by default. */
async function choose(given: {
  routes?: readonly string[]
  rules?: Parameters<typeof rule>[0][]
  isRouted?: (address: string) => boolean
  own?: string
}) {
  const { routes = [], rules = [], isRouted = () => true, own = '198.51.100.77' } = given
  const asked: string[] = []
  const targets = await canaryTargets(CONFIG, policy(rules.map(rule)), {
    sourceFor: async ({ family, words: to }: Address) => {
      const text = formatAddress(family, to)
      asked.push(text)
      if (!isRouted(text)) return new Error('ENETUNREACH')
      return text === own ? to : words(family === 4 ? '203.0.113.254' : '2001:db8::254')
    },
    routedPrefixes: (family: Family) => routes.map(prefix).filter((each) => each.family === family),
  })
  return { 4: targets[4]?.host, 6: targets[6]?.host, asked }
}

const isPeer = (address: string) => !address.startsWith('192.0.2.') && !address.startsWith('2001:db8:ffff')

t.test(
  'with default routes the setting counts in its family, and a documentation address in the other',
  async (t) => {
    t.match(await choose({ routes: ['198.51.100.0/24'] }), { 4: '192.0.2.1', 6: '2001:db8:ffff:ffff::9' })
  },
)

t.test('without a route there is no target', async (t) => {
  t.match(await choose({ isRouted: () => false }), { 4: undefined, 6: undefined })
  t.match(await choose({ routes: ['198.51.100.0/24'], isRouted: () => false }), { 4: undefined })
})

t.test(
  'on a host with routes to its peers only, the last address of one is taken that no rule allows',
  async (t) => {
    const routes = ['198.51.100.0/24', '2001:db8:51::/64']
    t.match(await choose({ routes, isRouted: isPeer }), {
      4: '198.51.100.254',
      6: '2001:db8:51:0:ffff:ffff:ffff:fffe',
    })
    const all = { prefixes: [prefix('198.51.100.254/32')] }
    t.match(await choose({ routes, isRouted: isPeer, rules: [all] }), { 4: '198.51.100.253' })
    const https = { ...all, protocol: 'tcp', ports: [{ first: 443, last: 443 }] } as const
    t.match(await choose({ routes, isRouted: isPeer, rules: [https] }), { 4: '198.51.100.254' })
    const udp = { ...all, protocol: 'udp' } as const
    t.match(await choose({ routes, isRouted: isPeer, rules: [udp] }), { 4: '198.51.100.254' })
    const everything = { prefixes: [prefix('0.0.0.0/0'), prefix('::/0')] }
    t.match(await choose({ routes, isRouted: isPeer, rules: [everything] }), { 4: undefined, 6: undefined })
  },
)

t.test('small prefixes have no address too many, and an address of this host is none', async (t) => {
  for (const [route, target] of [
    ['198.51.100.7/32', '198.51.100.7'],
    ['198.51.100.76/31', '198.51.100.76'],
    ['198.51.100.76/30', '198.51.100.78'],
    ['2001:db8:51::7/128', '2001:db8:51::7'],
    ['2001:db8:51::6/127', '2001:db8:51::6'],
  ] as const) {
    const family = route.includes(':') ? 6 : 4
    t.equal((await choose({ routes: [route], isRouted: isPeer }))[family], target, route)
  }
  const own = await choose({ routes: ['198.51.100.0/24'], isRouted: isPeer, own: '198.51.100.254' })
  t.equal(own[4], '198.51.100.253')
})

t.test('a host with many routes is asked a few times only', async (t) => {
  const routes = Array.from({ length: 64 }, (_, i) => `198.18.${i}.0/24`)
  const { asked } = await choose({ routes, isRouted: () => false })
  t.ok(asked.length < 40, `${asked.length} addresses`)
})
