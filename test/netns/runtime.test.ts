import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { countArrivals } from '../lab/arrivals.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { MIRROR } from '../lab/topology.js'
import { canSwitchUsers } from '../lab/users.js'
import {
  ENFORCE,
  guarded,
  isOpen,
  namesOf,
  ONE,
  OTHER,
  request,
  runCommand,
  statusOf,
  Talk,
  THIRD,
} from './runtime.js'
import { eventually, inTime, NODE } from './service.js'

/** SEND HOST PORT: sends a datagram every 50 ms, always from the same socket, and ignores errors. */
const SEND = `const socket = require('node:dgram').createSocket('udp4')
const [host, port] = process.argv.slice(1)
socket.on('error', () => {})
setInterval(() => socket.send('x', +port, host, () => {}), 50)`

t.jobs = 3

t.test(
  'a new runtime entry is in force at once and cuts off nothing; its removal cuts off its connections only',
  async (t) => {
    const settings = `${ENFORCE}allow: [{ name: other, to: [${OTHER}], ports: [80] }]\n`
    const [lab, service] = await guarded(t, settings)
    t.notOk(await isOpen(lab.web, ONE))
    const before = Talk.to(lab.web, OTHER, MIRROR.v4)
    await before.waitForAnswer(OTHER)
    const generation = readFileSync(join(service.folder, 'state', 'generation'), 'utf8')

    const output = await runCommand(
      service,
      'allow',
      'add',
      'debug',
      '--to',
      `${ONE},203.0.113.64/26`,
      '--ports',
      '80,8000-8080',
    )
    t.match(
      output,
      /^debug is in force until it is removed: tcp 80, 8000-8080 to 203\.0\.113\.1,\n203\.0\.113\.64\/26\n$/,
    )
    t.ok(await isOpen(lab.web, ONE), 'the address is allowed when the command has ended')
    t.notOk(await isOpen(lab.web, ONE, 81), 'another port is not allowed')
    t.notOk(await isOpen(lab.web, THIRD), 'another address is not allowed')
    t.equal(
      readFileSync(join(service.folder, 'state', 'generation'), 'utf8'),
      generation,
      'no connection was judged again',
    )
    await before.waitForAnswer(OTHER)

    const talk = Talk.to(lab.web, ONE, OTHER, MIRROR.v4)
    await talk.waitForAnswer(ONE)
    await runCommand(service, 'allow', 'remove', 'debug')
    t.notOk(await isOpen(lab.web, ONE))
    await talk.assertCutOff(t, ONE, OTHER)
    await talk.waitForAnswer(MIRROR.v4)
    await before.waitForAnswer(OTHER)
  },
)

t.test(
  'a UDP flow is blocked when its runtime entry is removed, whether the entry names users or not',
  async (t) => {
    const [lab, service] = await guarded(t)
    const users = [[], ['--user', 'root']]
    for (const user of users) {
      await runCommand(
        service,
        'allow',
        'add',
        'say',
        '--to',
        ONE,
        '--ports',
        '5000',
        '--protocol',
        'udp',
        ...user,
      )
      const arrivals = await countArrivals(lab.victims, 'to-web')
      const flow = lab.web.spawn([...NODE, '-e', SEND, ONE, '5000'])
      await eventually('datagrams arrive', async () => (await arrivals()).udp > 3)
      await runCommand(service, 'allow', 'remove', 'say')
      const then = (await arrivals()).udp
      const blocks = await service.blocks('protocol="udp"')
      const isBlocked = async () => (await service.blocks('protocol="udp"')) > blocks + 5
      await eventually('its datagrams are blocked', isBlocked)
      t.equal((await arrivals()).udp, then, 'no more datagrams arrive')
      flow.kill('SIGKILL')
      await lab.victims.run(['nft', 'delete', 'table', 'inet', 'arrivals'])
    }
  },
)

t.test('when a runtime entry expires, new connections are blocked and live ones are cut off', async (t) => {
  const [lab, service] = await guarded(t)
  const talk = await inTime(async (ms) => {
    const end = Date.now() + ms
    const output = await runCommand(service, 'allow', 'add', 'short', '--to', ONE, '--ttl', `${ms / 1000}s`)
    t.equal(output, `short is in force for ${ms / 1000}s: tcp to 203.0.113.1\n`)
    const talk = Talk.to(lab.web, ONE, MIRROR.v4)
    const list = (await talk.waitForAnswer(ONE, end)) ? await runCommand(service, 'allow', 'list') : ''
    if (Date.now() >= end) {
      await eventually('the entry has gone', async () => (await namesOf(service)).length === 0)
      return undefined
    }
    t.match(list, /^short {7}tcp to 203\.0\.113\.1; \d+ s left\n$/)
    return talk
  })
  await eventually('the entry has expired', async () => (await namesOf(service)).length === 0)
  await talk.assertCutOff(t, ONE, MIRROR.v4)
  t.notOk(await isOpen(lab.web, ONE))
  t.match(service.program.stderr, /these rules have expired: short/)
  t.notMatch(readFileSync(join(service.folder, 'state', 'allow.json'), 'utf8'), 'short')
})

t.test(
  'when a configured rule expires, its connections are cut off, and new ones are blocked, also after kill -9',
  async (t) => {
    const [lab, service, talk] = await inTime(async (ms) => {
      const end = Date.now() + ms
      const rule = (name: string, to: string) =>
        `{ name: ${name}, to: [${to}], ports: [80], expires: "${new Date(end).toISOString()}" }`
      const settings = `${ENFORCE}allow: [${rule('first', ONE)}, ${rule('second', OTHER)}]\n`
      const [lab, service] = await guarded(t, settings)
      await request(service, 'POST', '/v1/allow', { name: 'third', to: [THIRD], ttl: '3s' })
      const talk = Talk.to(lab.web, ONE, MIRROR.v4)
      return (await talk.waitForAnswer(ONE, end)) ? ([lab, service, talk] as const) : undefined
    })
    const { program } = service
    const isOver = async () =>
      /expired: first, second/.test(program.stderr) && /expired: .*third/.test(program.stderr)
    await eventually('the rules have expired', isOver)
    await talk.assertCutOff(t, ONE, MIRROR.v4)
    await service.kill()
    for (const host of [ONE, OTHER, THIRD]) t.notOk(await isOpen(lab.web, host, 80, 1000))
    t.ok(await isOpen(lab.web, MIRROR.v4))
  },
)

t.test(
  'a rule may expire in the year 9999, and a runtime entry after any fraction of a second',
  async (t) => {
    const rule = `{ name: far, to: [${OTHER}], ports: [80], expires: 9999-12-31 }`
    const [lab, service] = await guarded(t, `${ENFORCE}allow: [${rule}]\n`)
    const ends = { day: '28h', week: '7d', year: '365d', fraction: '1800.0005s' }
    for (const [name, ttl] of Object.entries(ends))
      await runCommand(service, 'allow', 'add', name, '--to', ONE, '--ttl', ttl)
    t.same(await namesOf(service), Object.keys(ends))
    await service.kill()
    for (const host of [ONE, OTHER]) t.ok(await isOpen(lab.web, host), 'the kernel alone allows it')
  },
)

t.test('a wrong command is refused with a message that names the option, and changes nothing', async (t) => {
  const [, service] = await guarded(t, `${ENFORCE}allow:\n  - { name: written, to: [${OTHER}] }\n`)
  const wrong: [words: string[], status: number, reason: RegExp][] = [
    [
      ['add', 'a', '--to', 'http://x.example.org/'],
      2,
      /^checkvalve: --to: "http:\/\/x\.example\.org\/" is a URL: write only the host, x\.example\.org\n/,
    ],
    [
      ['add', 'a', '--to', ONE, '--ports', '70000'],
      2,
      /^checkvalve: --ports: must be a port from 1 to 65535/,
    ],
    [
      ['add', 'a', '--to', ONE, '--protocol', 'sctp'],
      2,
      /^checkvalve: --protocol: must be tcp, udp, icmp or any, not "sctp"/,
    ],
    [
      ['add', 'a', '--to', ONE, '--user', 'nobody-at-all'],
      2,
      /^checkvalve: --user: there is no user "nobody-at-all"/,
    ],
    [
      ['add', 'a', '--to', ONE, '--unit', 'nginx'],
      2,
      /^checkvalve: --unit: must be a systemd unit with its type, like nginx\.service/,
    ],
    [['add', 'a', '--to', ONE, '--ttl', 'soon'], 2, /^checkvalve: --ttl: must be a duration/],
    [['add', 'a/b', '--to', ONE], 2, /^checkvalve: NAME: must be 1 to 64 letters/],
    [['add', 'mirrors', '--to', ONE], 2, /^checkvalve: NAME: "mirrors" is the name of a built-in rule/],
    [['add', 'a'], 2, /^checkvalve: allow add needs --to/],
    [['add', '--to', ONE], 2, /^checkvalve: allow add needs a name/],
    [['list', 'a'], 2, /^checkvalve: allow list takes no name/],
    [['remove', 'a', '--ttl', '1h'], 2, /^checkvalve: --ttl is not for allow remove/],
    [[], 2, /^checkvalve: allow needs add, remove or list/],
    [
      ['add', 'written', '--to', ONE],
      1,
      /^checkvalve: "written" is a rule of the configuration, at \S+checkvalve\.yaml:6: choose another name\n$/,
    ],
    [
      ['remove', 'written'],
      1,
      /^checkvalve: there is no runtime entry "written": it is a rule of the configuration, at \S+:6: take it out there, and reload\n$/,
    ],
    [['remove', 'a'], 1, /^checkvalve: there is no runtime entry "a": there is none at all\n$/],
  ]
  for (const [words, code, reason] of wrong) {
    const { status, stdout, stderr } = await service.command('allow', ...words)
    t.same({ status, stdout }, { status: code, stdout: '' }, words.join(' '))
    t.match(stderr, reason)
  }
  t.same((await statusOf(service)).allow, [])
})

t.test(
  'a second runtime entry of one name needs --replace, and a configured rule of that name removes it',
  async (t) => {
    const [lab, service] = await guarded(t)
    await runCommand(service, 'allow', 'add', 'one', '--to', ONE)
    const again = await service.command('allow', 'add', 'one', '--to', OTHER)
    t.match(again, {
      status: 1,
      stderr: 'checkvalve: "one" is a runtime entry already: remove it, or replace it (--replace)\n',
    })
    const talk = Talk.to(lab.web, ONE, MIRROR.v4)
    await talk.waitForAnswer(ONE)
    await runCommand(service, 'allow', 'add', 'one', '--to', `${ONE},${OTHER}`, '--ttl', '1h', '--replace')
    t.ok(await isOpen(lab.web, OTHER))
    await talk.waitForAnswer(ONE)
    t.equal(await runCommand(service, 'allow', 'list', '--names'), 'one\n')

    await service.reload(`${ENFORCE}allow: [{ name: one, to: [${ONE}], ports: [80] }]\n`)
    t.match(service.program.stderr, /runtime entry one is gone: the configuration has a rule of that name/)
    t.equal(await runCommand(service, 'allow', 'list', '--names'), '')
    await talk.waitForAnswer(ONE)
    t.notOk(await isOpen(lab.web, OTHER))
    await service.reload(ENFORCE)
    t.notOk(await isOpen(lab.web, ONE), 'the runtime entry does not come back')
  },
)

t.test(
  'a runtime entry with a DNS name allows its addresses, and the command notes when none is known yet',
  async (t) => {
    const [lab, service] = await guarded(t)
    await serveDnsmasq(lab.mirror, { records: { 'api.example.org': [ONE] }, ttl: 60 })
    const known = await service.command('allow', 'add', 'api', '--to', 'api.example.org')
    t.match(known, { status: 0, stderr: '' })
    t.ok(await isOpen(lab.web, ONE))
    const unknown = await service.command('allow', 'add', 'none', '--to', 'none.example.org')
    t.match(unknown, { status: 0, stderr: /^note: no address of none\.example\.org is known yet/ })
    await service.kill()
    t.ok(await isOpen(lab.web, ONE), 'the kernel alone allows the address')
  },
)

t.test(
  'a user who may not open the control socket is refused with advice, and changes nothing',
  async (t) => {
    if (!canSwitchUsers())
      return void t.comment('left out: a second user (only one user exists in this namespace)')
    const [lab, service] = await guarded(t)
    await lab.web.run(['chmod', '-R', 'a+rX', service.folder])
    const main = fileURLToPath(new URL('../../bin/checkvalve.js', import.meta.url))
    for (const words of [
      ['status'],
      ['allow', 'list'],
      ['allow', 'add', 'x', '--to', ONE],
      ['allow', 'remove', 'x'],
      ['mode', 'observe'],
      ['mode'],
    ]) {
      const argv = [...NODE, main, ...words, '--config', service.config]
      const { status, stdout, stderr } = await lab.web.run(argv, { user: 'nobody', allowFailure: true })
      t.same({ status, stdout }, { status: 1, stdout: '' }, words.join(' '))
      t.equal(
        stderr,
        `checkvalve: ${service.folder}/control.sock may not be opened: be root, or a member of its group\n`,
      )
    }
    t.match(await statusOf(service), { mode: 'enforce', allow: [] })
  },
)
