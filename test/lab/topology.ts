/**
 * Makes the network of the demo and the tests:
 *
 *     client ---- web ---- mirror
 *                  |
 *               victims: the neighbours, and all other hosts
 */

import { Namespace } from './namespace.js'

/** The addresses of the guarded host on each cable. */
export const WEB = {
  client: { v4: '198.18.0.1', v6: '2001:db8:18::1' },
  mirror: { v4: '198.51.100.1', v6: '2001:db8:51::1' },
  victims: { v4: '203.0.113.254', v6: '2001:db8:113::254' },
} as const

export const CLIENT = { v4: '198.18.0.2', v6: '2001:db8:18::2' } as const
export const MIRROR = { v4: '198.51.100.2', v6: '2001:db8:51::2' } as const
/** The router of web's default routes, which is the first of the neighbours. */
export const VICTIM = { v4: '203.0.113.1', v6: '2001:db8:113::1' } as const

/** The addresses of 203.0.113.0/24 without that of web, and as many of 2001:db8:113::/64. */
export const NEIGHBOURS = {
  v4: Array.from({ length: 253 }, (_, host) => `203.0.113.${host + 1}`),
  v6: Array.from({ length: 253 }, (_, host) => `2001:db8:113::${(host + 1).toString(16)}`),
} as const

export interface Topology extends AsyncDisposable {
  /**
   * The guarded host. Its devices are `to-client`, `to-mirror` and `to-victims`; those of the others are
   * `to-web`.
   */
  readonly web: Namespace
  readonly client: Namespace
  readonly mirror: Namespace
  /** Answers for the neighbours, and for every other address that web sends packets to. */
  readonly victims: Namespace
  close(): Promise<void>
}

export async function createTopology(): Promise<Topology> {
  const [web, client, mirror, victims] = await createAll('web', 'client', 'mirror', 'victims')
  const close = async () => {
    await Promise.all([web, client, mirror, victims].map((namespace) => namespace.close()))
  }
  try {
    await Promise.all([
      connect(web, client, WEB.client, CLIENT),
      connect(web, mirror, WEB.mirror, MIRROR),
      connectVictims(web, victims),
    ])
  } catch (error) {
    await close()
    throw error
  }
  return { web, client, mirror, victims, close, [Symbol.asyncDispose]: close }
}

type Four = [Namespace, Namespace, Namespace, Namespace]

/** Makes all namespaces at once. When one fails, the others are closed. */
async function createAll(...names: [string, string, string, string]): Promise<Four> {
  const made = await Promise.allSettled(names.map((name) => Namespace.create(name)))
  const failure = made.find((result) => result.status === 'rejected')
  const namespaces = made.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  if (failure === undefined) return namespaces as Four
  await Promise.all(namespaces.map((namespace) => namespace.close()))
  throw failure.reason
}

interface Addresses {
  readonly v4: string
  readonly v6: string
}

/** Returns the commands of ip(8) that make a cable to another namespace: a veth pair, made in place. */
const cable = (device: string, peer: Namespace) => [
  `link add ${device} type veth peer name to-web netns ${peer.pid}`,
  `link set ${device} up`,
]

const addresses = (device: string, { v4, v6 }: Addresses, [length4, length6] = [24, 64]) => [
  `address add ${v4}/${length4} dev ${device}`,
  `address add ${v6}/${length6} dev ${device} nodad`,
]

async function connect(web: Namespace, peer: Namespace, near: Addresses, far: Addresses): Promise<void> {
  const device = `to-${peer.name}`
  await web.ip(...cable(device, peer), ...addresses(device, near))
  await peer.ip('link set to-web up', ...addresses('to-web', far))
}

/**
 * Connects web with the victims. Web reaches its neighbours through one of them, so that no packet waits for,
 * or is lost in, the address resolution of hundreds of hosts. Every address but web's is local at the
 * victims: their local route is in the main table, where the longer prefix of web's address comes first.
 */
async function connectVictims(web: Namespace, victims: Namespace): Promise<void> {
  const { v4 } = WEB.victims
  await web.ip(
    ...cable('to-victims', victims),
    ...addresses('to-victims', WEB.victims, [32, 128]),
    `route add default via ${VICTIM.v4} dev to-victims onlink src ${v4}`,
    `route add default via ${VICTIM.v6} dev to-victims onlink`,
  )
  await victims.ip(
    'link set to-web up',
    ...addresses('to-web', VICTIM, [32, 128]),
    ...Object.values(WEB).flatMap((web) => [
      `route add ${web.v4}/32 dev to-web`,
      `route add ${web.v6}/128 dev to-web`,
    ]),
    'route add local 0.0.0.0/0 dev lo table main',
    'route add local ::/0 dev lo table main',
  )
}
