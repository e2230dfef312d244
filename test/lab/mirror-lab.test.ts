import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { APT_USER, aptGet, createRepository, serveFiles } from './apt.js'
import { lookUp, serveDnsmasq, serveFreshDns } from './dnsmasq.js'
import type { Namespace } from './namespace.js'
import { createTopology, MIRROR, type Topology, VICTIM, WEB } from './topology.js'
import { connect, httpGet, serveHttp } from './traffic.js'
import { canSwitchUsers, idsOf } from './users.js'
import { eventually } from './waiting.js'

const SUITE = 'stable'
const PROBE = { name: 'checkvalve-probe', version: '1.0' }
const LARGE = { name: 'checkvalve-large', version: '2.0', bytes: 300_000 }
const sources = (host: string) => `deb [trusted=yes] http://${host}/ ${SUITE} main\n`

/** Makes a lab whose web server uses the mirror's name server. */
async function createLab(t: Test): Promise<Topology> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions timeout:1 attempts:1\n`)
  return lab
}

/** Makes a folder that every user may enter, with a repository and a root for apt's system. */
async function createFolder(t: Test): Promise<{ repository: string; root: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-apt-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  chmodSync(folder, 0o755)
  const [repository, root] = [join(folder, 'repository'), join(folder, 'root')]
  mkdirSync(root)
  await createRepository(repository, { suite: SUITE, packages: [PROBE, LARGE] })
  return { repository, root }
}

/**
 * Counts begun connections and sent datagrams by the user of the socket.
 * @returns those of `user` and of others
 */
async function countByUser(place: Namespace, user: string): Promise<() => Promise<[number, number]>> {
  const uid = canSwitchUsers() ? idsOf(user).uid : 0
  const input = `table inet users {
    counter own {}
    counter others {}
    chain sent {
      type filter hook output priority filter; policy accept;
      tcp dport { 53, 80 } tcp flags & (syn | ack) == syn meta skuid ${uid} counter name own
      tcp dport { 53, 80 } tcp flags & (syn | ack) == syn meta skuid != ${uid} counter name others
      udp dport 53 meta skuid ${uid} counter name own
      udp dport 53 meta skuid != ${uid} counter name others
    }
  }`
  await place.run(['nft', '-f', '-'], { input })
  return async () => {
    const { stdout } = await place.run(['nft', 'list', 'counters'])
    const of = (name: string) => Number(stdout.match(new RegExp(`counter ${name} \\{\\s+packets (\\d+)`))![1])
    return [of('own'), of('others')]
  }
}

t.test('apt-get updates and installs over the network of the lab', async (t) => {
  const { web, mirror } = await createLab(t)
  const { repository, root } = await createFolder(t)
  const host = 'mirror.example.org'
  const dnsmasq = await serveDnsmasq(mirror, { records: { [host]: [MIRROR.v4] }, ttl: 1 })
  const server = await serveFiles(mirror, repository)
  const counts = await countByUser(web, APT_USER)
  const apt = (...args: string[]) => aptGet(web, args, { sources: sources(host), root })

  const update = await apt('update')
  t.equal(update.status, 0, 'the update succeeds', { output: update.stderr + update.stdout })
  const install = await apt('install', PROBE.name)
  t.equal(install.status, 0, 'the installation succeeds', { output: install.stderr + install.stdout })
  t.equal(readFileSync(join(root, 'usr/share', PROBE.name, PROBE.version), 'utf8'), 'checkvalve probe')
  t.match(
    readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8'),
    /Package: checkvalve-probe\nStatus: install ok/,
  )

  t.ok(server.results.some(({ get, from }) => `${get}`.endsWith('.deb') && from === WEB.mirror.v4))
  const called = server.results.slice(1).map(({ host }) => host)
  t.same(new Set(called), new Set([host]), 'requests have the name of the server')
  t.same(new Set(dnsmasq.queries('SRV')), new Set([`_http._tcp.${host}`]), 'apt looks up an SRV record first')
  t.ok(dnsmasq.queries('A').includes(host))
  const [own, others] = await counts()
  t.ok(own > 0, `${own} queries and connections are of ${APT_USER}`)
  if (canSwitchUsers()) t.equal(others, 0, 'no query or connection is of another user')
  else t.comment('left out: apt with a user of its own (only one user exists in this namespace)')
})

t.test(
  'apt-get fails soon and with a message when a server is down, and succeeds when it is back',
  async (t) => {
    const { web, mirror } = await createLab(t)
    const { repository, root } = await createFolder(t)
    const options = { sources: sources('alias.example.org'), root }
    const update = () => aptGet(web, ['update'], options)
    t.match(await update(), { status: 100, stderr: /resolv/ }, 'without a name server')
    const dnsmasq = await serveDnsmasq(mirror, {
      records: { 'one.example.org': [MIRROR.v4] },
      ttl: 1,
      cnames: { 'alias.example.org': 'one.example.org' },
    })
    t.match(await update(), { status: 100, stderr: /onnect/ }, 'without a web server')
    await serveFiles(mirror, repository)
    t.match(await update(), { status: 0 })
    await dnsmasq.change({})
    t.match(await update(), { status: 100, stderr: /resolv/ }, 'without the name')
  },
)

t.test('aptGet throws when apt downloads as root because its own user cannot enter the folder', async (t) => {
  if (!canSwitchUsers()) return t.comment('left out: only one user exists in this namespace')
  const { web, mirror } = await createLab(t)
  const { repository, root } = await createFolder(t)
  await serveFiles(mirror, repository)
  chmodSync(root, 0o700)
  await t.rejects(aptGet(web, ['update'], { sources: sources(MIRROR.v4), root }), {
    message: /_apt cannot enter/,
  })
})

t.test(
  'apt-get follows an SRV record, and a download at the pace of the server is not complete at once',
  async (t) => {
    const { web, mirror } = await createLab(t)
    const { repository, root } = await createFolder(t)
    await serveDnsmasq(mirror, {
      records: { 'one.example.org': [MIRROR.v4] },
      ttl: 1,
      srv: { '_http._tcp.deb.example.org': { target: 'one.example.org', port: 8080 } },
    })
    const server = await serveFiles(mirror, repository, { port: 8080, pace: 200_000 })
    const apt = (...args: string[]) => aptGet(web, args, { sources: sources('deb.example.org'), root })
    t.match(await apt('update'), { status: 0 })
    for (const time of ['first', 'second']) {
      t.match(await apt('install', '--reinstall', LARGE.name), { status: 0 }, `the ${time} time`)
      t.equal(server.results.filter(({ get }) => `${get}`.endsWith('.deb')).length, time === 'first' ? 1 : 2)
    }
    const { get } = server.results.at(-1)!
    let timeout = 500
    let part = await httpGet(web, `http://${MIRROR.v4}:8080${get}`, { timeout })
    await eventually('a part of the file arrives', async () => {
      if (part.bytes > 0) return true
      timeout += 500
      part = await httpGet(web, `http://${MIRROR.v4}:8080${get}`, { timeout })
      return false
    })
    t.match(part, { outcome: 'timeout', status: 200 }, 'the download is not complete after the timeout')
    t.ok(part.bytes > 0 && part.bytes < LARGE.bytes)
  },
)

t.test('dnsmasq answers by its records, and logs its queries', async (t) => {
  const { web, mirror } = await createLab(t)
  await serveHttp(mirror)
  const many = Array.from({ length: 200 }, (_, host) => `198.18.200.${host + 1}`)
  const dnsmasq = await serveDnsmasq(mirror, {
    records: {
      'mirror.example.org': [MIRROR.v4, MIRROR.v6],
      'turns.example.org': many.slice(0, 3),
      'many.example.org': many,
    },
    ttl: 7,
    cnames: { 'alias.example.org': 'mirror.example.org' },
    wildcards: { 'cdn.example.org': [MIRROR.v4] },
  })

  await t.test('it finds names, aliases and wildcards, and no other names', async (t) => {
    for (const name of ['mirror', 'alias', 'a.b.cdn'])
      t.match(await connect(web, `${name}.example.org`, 80), { outcome: 'ok' }, name)
    t.match(await connect(web, 'nowhere.example.org', 80), { outcome: 'ENOTFOUND' })
    t.match(dnsmasq.questions()[0], { name: 'mirror.example.org', from: WEB.mirror.v4, transport: 'udp' })
    t.ok(dnsmasq.queries('AAAA').includes('a.b.cdn.example.org'))
  })

  await t.test('it rotates the addresses of a name', async (t) => {
    const first = new Set<string>()
    for (let asked = 0; asked < 6; asked++)
      first.add((await web.run(['getent', 'ahostsv4', 'turns.example.org'])).stdout.split(' ')[0]!)
    t.ok(first.size > 1, [...first].join(', '))
  })

  await t.test('it sends an answer that is too long for a datagram over TCP', async (t) => {
    const { stdout } = await web.run(['getent', 'ahostsv4', 'many.example.org'])
    t.equal(stdout.match(/STREAM/g)?.length, many.length)
    const ways = dnsmasq.questions().filter(({ name }) => name === 'many.example.org')
    t.same(new Set(ways.map(({ transport }) => transport)), new Set(['udp', 'tcp']))
  })

  await t.test('it takes new records while it runs', async (t) => {
    await dnsmasq.change({ 'moved.example.org': [MIRROR.v6] })
    t.match(await connect(web, 'moved.example.org', 80), { outcome: 'ok' })
    t.match(await connect(web, 'mirror.example.org', 80), { outcome: 'ENOTFOUND' })
  })
})

for (const way of ['getaddrinfo', 'resolver'] as const) {
  t.test(`each look-up by ${way} finds a new address, and the address is reached`, async (t) => {
    const { web, mirror, victims } = await createLab(t)
    await serveHttp(victims)
    const server = await serveFreshDns(mirror, 'fresh.example.org', { ttl: 1, cname: 'edge.example.net' })
    const plan = { name: 'host.fresh.example.org', count: 200, port: 80, way, concurrency: 4 }
    t.same(await lookUp(web, plan), { asked: 200, answered: 200, connected: 200, failures: [] })
    const given = server.results.flatMap(({ address }) => address ?? [])
    t.equal(given.length, 200)
    t.equal(new Set(given).size, 200, 'no two addresses are the same')

    t.match(await lookUp(web, { ...plan, name: 'elsewhere.example.org', count: 2 }), {
      answered: 0,
      failures: ['elsewhere.example.org: ENOTFOUND', 'elsewhere.example.org: ENOTFOUND'],
    })
    const closed = await lookUp(web, { ...plan, name: '*.fresh.example.org', count: 1, port: 81 })
    t.match(closed, {
      answered: 1,
      connected: 0,
      failures: [/^1\.fresh\.example\.org, 198\.18\.\d+\.\d+: ECONNREFUSED$/],
    })
    await web.file('/etc/resolv.conf', `nameserver ${VICTIM.v4}\noptions timeout:1 attempts:1 use-vc\n`)
    t.match(
      await lookUp(web, { ...plan, count: 1, timeout: 300 }),
      { answered: 0, connected: 0 },
      'there is no name server',
    )
  })
}
