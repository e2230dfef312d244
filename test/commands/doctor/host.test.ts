import { chmodSync, utimesSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { clock, timeServers } from '../../../src/commands/doctor/clock.js'
import type { DoctorContext } from '../../../src/commands/doctor/context.js'
import { environment } from '../../../src/commands/doctor/environment.js'
import { type Finding, Findings, isAmiss } from '../../../src/commands/doctor/finding.js'
import { folders } from '../../../src/commands/doctor/folders.js'
import { conntrack } from '../../../src/commands/doctor/kernel.js'
import { isRotated } from '../../../src/commands/doctor/logrotate.js'
import { resolvers } from '../../../src/commands/doctor/resolvers.js'
import { mirrors, units, users } from '../../../src/commands/doctor/rules.js'
import { flush } from '../../../src/commands/doctor/ruleset-flush.js'
import { mayOthersWrite, mayWrite, mayWriteFile, whoIs } from '../../../src/commands/doctor/write-access.js'
import { type Given, NOW, world } from '../../analysis/explain/context.js'

/** Makes the context of a host without a running service, with folders of the test. */
function subject(t: Test, yaml: string, given: Given = {}): DoctorContext & { readonly directory: string } {
  const { config, policy, directory } = world(t, yaml, given)
  const known = { names: new Map(), services: new Map(), uses: [] }
  const facts = { mirrors: given.mirrors ?? [], notes: [], resolverNotes: [], timeServers: [] }
  const host = facts as unknown as DoctorContext['host']
  const status = new Error('the service does not run')
  const folder = { log: { ...config.log, destination: `${directory}/blocks.json` }, state: { directory } }
  return {
    config: { ...config, ...folder },
    policy,
    host,
    known,
    status,
    process: undefined,
    unit: undefined,
    now: NOW,
    directory,
  }
}

type Fixture = NonNullable<Parameters<Test['testdir']>[0]>

const lines = (findings: readonly Finding[]) => findings.map(({ grade, what }) => `${grade} ${what}`)

t.test(
  'nftables.service is reported when it is enabled and its file flushes the ruleset, and only then',
  async (t) => {
    const host = (conf: string, wants: Fixture) =>
      flush(t.testdir({ etc: { 'nftables.conf': conf, systemd: { system: wants } } })).length
    const enabled = { 'sysinit.target.wants': { 'nftables.service': t.fixture('symlink', '/nonexistent') } }
    t.equal(host('#!/usr/sbin/nft -f\n\nflush ruleset\ntable inet filter {}\n', enabled), 1)
    t.equal(host('table inet filter {}\n# flush ruleset\n', enabled), 0)
    t.equal(host('flush ruleset\n', {}), 0)
    t.same(flush(t.testdir({})), [])
  },
)

t.test('the program that keeps the clock is found, and a host without one is reported', async (t) => {
  const keeps = async (run: Fixture) =>
    lines(await clock(subject(t, 'mode: enforce\n'), t.testdir({ run }))).join()
  t.equal(
    await keeps({ systemd: { timesync: { synchronized: '' } } }),
    'ok synchronised by systemd-timesyncd',
  )
  t.match(await keeps({ systemd: { timesync: {} } }), /^look not synchronised by systemd-timesyncd/)
  t.match(await keeps({ 'ntpd.pid': '7' }), /^unknown whether it is synchronised/)
  t.match(await keeps({}), /^look no known time service runs/)
})

t.test('a clock that was set back is detected by files with a later time, and by nothing else', async (t) => {
  const run = { systemd: { timesync: { synchronized: '' } } }
  const one = subject(t, 'mode: enforce\n')
  const written = (ms: number) => {
    writeFileSync(`${one.directory}/addresses.json`, '{}')
    utimesSync(`${one.directory}/addresses.json`, new Date(NOW + ms), new Date(NOW + ms))
  }
  written(-1000)
  t.equal((await clock(one, t.testdir({ run }))).length, 1)
  written(3_600_000)
  t.match((await clock(one, t.testdir({ run })))[1], {
    grade: 'fail',
    what: /^the clock went back: .*addresses\.json/,
  })
})

t.test('expired rules are reported with their line', async (t) => {
  const one = subject(t, 'mode: enforce\nallow:\n  - { name: old, to: [192.0.2.1], expires: 2026-01-01 }\n')
  const [, note] = await clock(one, t.testdir({ run: { systemd: { timesync: { synchronized: '' } } } }))
  t.match(note, { grade: 'note', what: /^rule "old" expired/, advice: /main\.yaml:3$/ })
})

t.test(
  'a host without an outside resolver is reported, with the reason that resolv.conf gives',
  async (t) => {
    const why = async (etc: Record<string, string>) => {
      const [finding] = await resolvers(subject(t, 'mode: enforce\n', { etc }), t.testdir({ etc }))
      return `${finding!.grade} ${finding!.advice}`
    }
    t.match(await why({}), /^look there is no \/etc\/resolv\.conf/)
    t.match(await why({ 'resolv.conf': 'search example.org\n' }), /^look \/etc\/resolv\.conf names none/)
    t.match(
      await why({ 'resolv.conf': 'nameserver 127.0.0.1\n' }),
      /^look \/etc\/resolv\.conf leads to this host itself/,
    )
  },
)

t.test('what is not known of a resolver on this host is said in its place', async (t) => {
  const etc = { 'resolv.conf': 'nameserver 127.0.0.1\n' }
  const one = subject(t, 'mode: enforce\n', { etc })
  const resolverNotes = ['/etc/unbound/unbound.conf: unbound asks: forward its queries']
  const [finding] = await resolvers({ ...one, host: { ...one.host, resolverNotes } }, t.testdir({ etc }))
  t.match(finding, {
    grade: 'look',
    what: '/etc/unbound/unbound.conf: unbound asks',
    advice: 'forward its queries',
  })
})

t.test(
  'a host whose time servers are not known is reported, unless the configuration has a list',
  async (t) => {
    t.match(timeServers(subject(t, 'mode: enforce\n')), [{ grade: 'look', what: /^no time server is known/ }])
    t.same(timeServers(subject(t, 'infrastructure: { ntp: [] }\n')), [])
  },
)

t.test('a resolver that resolv.conf names and the configuration does not is reported', async (t) => {
  const etc = { 'resolv.conf': 'nameserver 192.0.2.1\nnameserver 192.0.2.2\n' }
  const yaml = 'mode: enforce\ndns: { enforceNames: true }\ninfrastructure: { dns: [192.0.2.1] }\n'
  const reported = lines(await resolvers(subject(t, yaml, { etc }), t.testdir({ etc })))
  t.same(reported, [
    'look /etc/resolv.conf names 192.0.2.2, and infrastructure.dns does not',
    'note not asked: 192.0.2.1',
  ])
})

t.test('a log counts as rotated when logrotate names it, by its path or by a pattern', async (t) => {
  const log = '/var/log/checkvalve/blocks.json'
  const yes = [
    `${log} {\n  weekly\n}\n`,
    '/var/log/checkvalve/*.json {\n daily\n}\n',
    `"/var/log/checkvalve/blocks.json" /var/log/other.log\n{\n}\n`,
    '/var/log/*/blocks.jso? { daily\n}\n',
    '/var/log/checkvalve/[a-c]locks.json {}\n',
  ]
  for (const text of yes) t.ok(isRotated(log, ['', text]), text)
  const no = [
    '',
    `# ${log} {\n}\n`,
    '/var/log/*.json {\n}\n',
    `/var/log/a.log {\n  postrotate\n    cat ${log}\n  endscript\n}\n`,
    '/var/log/checkvalve/blocks.json.old {\n}\n',
    '/var/log/checkvalve/[ {\n}\n',
  ]
  for (const text of no) t.notOk(isRotated(log, [text]), text)
})

t.test('owner, group and mode decide whether another user may write to a folder', async (t) => {
  const passwd = 'root:x:0:0::/:/bin/sh\ncheckvalve:x:994:993::/:/bin/sh\n'
  const group = 'root:x:0:\nadm:x:4:syslog,checkvalve\n'
  const who = whoIs('checkvalve', passwd, group)!
  t.same(who, { uid: 994, gids: [993, 4] })
  t.same(whoIs('994', passwd, group), who)
  t.equal(whoIs('nobody', passwd, group), undefined)
  const folder = (uid: number, gid: number, mode: number) => mayWrite({ uid, gid, mode }, who)
  t.ok(folder(994, 0, 0o700))
  t.ok(folder(0, 4, 0o770))
  t.ok(folder(0, 0, 0o777))
  t.notOk(folder(0, 0, 0o755))
  t.notOk(folder(994, 0, 0o077), "the owner has only the owner's permissions")
  t.notOk(folder(994, 0, 0o600), 'a folder needs the search permission as well')
  t.ok(mayWriteFile({ uid: 994, gid: 0, mode: 0o600 }, who))
  t.notOk(mayWriteFile({ uid: 0, gid: 0, mode: 0o640 }, who))
  t.ok(mayWrite({ uid: 994, gid: 994, mode: 0 }, { uid: 0, gids: [] }), 'root may always write')
})

t.test('folders in which other users may replace files are reported', async (t) => {
  const who = { uid: 994, gids: [993, 4] }
  for (const [uid, gid, mode, isOpen] of [
    [994, 993, 0o750, false],
    [994, 993, 0o770, false],
    [0, 0, 0o775, false],
    [994, 4, 0o770, true],
    [994, 993, 0o757, true],
    [33, 993, 0o700, true],
  ] as const)
    t.equal(mayOthersWrite({ uid, gid, mode }, who), isOpen, `${uid}:${gid} ${mode.toString(8)}`)
  const one = subject(t, 'mode: enforce\n')
  chmodSync(one.directory, 0o777)
  t.ok(lines(folders(one, t.testdir({}))).some((line) => line.startsWith('look other users may write to ')))
})

t.test(
  'the state and log folders are checked for rotation and for users who may write to them',
  async (t) => {
    const etc = { 'logrotate.d': { checkvalve: `${'/'}** {\n}\n` } }
    const one = subject(t, 'mode: enforce\n')
    const root = t.testdir({ etc: { 'logrotate.conf': `${one.directory}/blocks.json {\n}\n`, ...etc } })
    t.same(folders(one, root).filter(isAmiss), [])
    t.match(lines(folders(one, t.testdir({}))), [/^look nothing rotates .*blocks\.json/])
    const unit = new Map([['User', '1']])
    chmodSync(one.directory, 0o700)
    t.match(
      lines(folders({ ...one, unit }, root)).filter((line) => line.startsWith('fail')),
      [/^fail \S+ may not write to /, /^fail \S+ may not write to /],
    )
    writeFileSync(`${one.directory}/addresses.json`, '{ "names":')
    t.ok(lines(folders(one, root)).some((line) => line.endsWith('addresses.json cannot be read')))
    const nowhere = { ...one, config: { ...one.config, state: { directory: '/nonexistent/state' } } }
    t.ok(lines(folders(nowhere, root)).includes('look /nonexistent/state does not exist'))
    const file = { ...one, config: { ...one.config, state: { directory: `${one.directory}/main.yaml` } } }
    t.ok(lines(folders(file, root)).some((line) => line.startsWith('fail') && line.endsWith('is no folder')))
    const stdout = { ...one, config: { ...one.config, log: { ...one.config.log, destination: 'stdout' } } }
    t.match(lines(folders(stdout, root))[0], /^ok it goes to standard output/)
  },
)

t.test('units that rules name are searched as systemd searches them, templates too', async (t) => {
  const yaml = (unit: string) => `mode: enforce\nallow: [{ name: u, to: [192.0.2.1], units: ["${unit}"] }]\n`
  const root = t.testdir({
    etc: { systemd: { system: { 'nginx.service': '' } } },
    lib: { systemd: { system: { 'getty@.service': '' } } },
  })
  const seen = (unit: string) => lines(units(subject(t, yaml(unit)), root)).join()
  t.match(seen('nginx.service'), /^ok /)
  t.match(seen('getty@tty1.service'), /^ok /)
  t.equal(seen('ngnix.service'), 'look there is no ngnix.service on this host')
  t.same(units(subject(t, 'mode: enforce\n'), root), [])
})

t.test(
  'users of rules that no longer exist are reported, and so is a list without a trusted user',
  async (t) => {
    const gone = 'mode: enforce\nallow: [{ name: u, to: [192.0.2.1], users: [2999999999] }]\n'
    t.match(lines(await users(subject(t, gone))), ['look there is no user 2999999999 on this host'])
    const nobody = subject(t, 'mode: enforce\n')
    const config = { ...nobody.config, mirrors: { ...nobody.config.mirrors, users: [] } }
    t.match(lines(await users({ ...nobody, config })), ['fail nobody may update'])
    t.match(lines(await users(nobody)), [/^ok /])
  },
)

t.test('mirrors without an address are counted; addresses and wildcards need no look-up', async (t) => {
  const mirror = (host: string, ...addresses: string[]) => ({
    host,
    ports: ['80'],
    found: 'x',
    addresses: addresses.map((address) => ({ address, until: '' })),
  })
  const one = subject(t, 'mode: enforce\n')
  const reported = (...all: ReturnType<typeof mirror>[]) => lines(mirrors(one, all))
  t.same(reported(), ['look none is known'])
  t.match(reported(mirror('a.example.org', '192.0.2.1'), mirror('192.0.2.0/24'), mirror('*.example.org')), [
    /^ok 3/,
  ])
  t.same(reported(mirror('a.example.org'), mirror('192.0.2.1')), ['look no address is known for 1 of 2'])
})

t.test('a proxy that no rule allows is reported, without its password', async (t) => {
  const yaml = `mode: enforce
mirrors: { hosts: [proxy.example.org, 192.0.2.0/24], ports: [3128] }
allow: [{ name: other, to: [other.example.org], ports: [3128], users: [www-data] }]
`
  const reported = (variables: Record<string, string>, file = '') => {
    const root = t.testdir({ etc: { environment: file } })
    return environment(subject(t, yaml), variables, root)
      .filter(isAmiss)
      .map(({ what }) => what)
  }
  t.same(reported({ http_proxy: 'http://proxy.example.org:3128' }), [])
  t.same(reported({ http_proxy: 'http://192.0.2.9:3128' }), [])
  t.same(reported({ http_proxy: '', no_proxy: 'evil.example.org', https_proxy: 'http://127.0.0.1:1' }), [])
  t.same(reported({ https_proxy: 'http://u:secret@evil.example.org:3128' }), [
    'https_proxy of this shell names the proxy evil.example.org:3128',
  ])
  t.same(reported({ http_proxy: 'http://proxy.example.org:8080' }).length, 1, 'the proxy has another port')
  t.same(reported({ http_proxy: 'other.example.org:3128' }).length, 1, 'the proxy is for other users')
  t.same(reported({}, 'PATH="/bin"\nALL_PROXY="socks5://evil.example.org"\n'), [
    'ALL_PROXY of /etc/environment names the proxy evil.example.org:1080',
  ])
})

t.test('the fill level of connection tracking is reported', async (t) => {
  const grade = (entries: number, limit: number) => {
    const found = new Findings('kernel')
    conntrack(found, { entries, limit })
    return lines(found.all).join()
  }
  t.equal(grade(7, 100), 'ok connection tracking holds 7 of 100 connections')
  t.equal(grade(7, 0), 'ok connection tracking holds 7 of any number of connections')
  t.equal(grade(80, 100), 'look connection tracking holds 80 of 100 connections')
  t.equal(grade(99, 100), 'fail connection tracking holds 99 of 100 connections')
})
