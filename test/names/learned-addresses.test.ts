import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { assemble, compile, type Policy, type Rule } from '../../src/core/policy/policy.js'
import type { HostChanges } from '../../src/core/ruleset/ruleset.js'
import type { Asker } from '../../src/names/confirmations.js'
import type { AnswerContent } from '../../src/names/dns/answer-reader.js'
import { LearnedAddresses, type LearnedOptions } from '../../src/names/learned-addresses.js'
import { EPHEMERAL_PORTS } from '../core/clients.js'
import { host, hosts, many, textOf } from './addresses.js'
import { Clock, settled } from './clock.js'
import { A, asked, questionOf, SRV } from './dns/answers.js'
import { dnsError, Zone } from './dns/zone.js'

const NAME = 'mirror.example.org'
const OTHER = 'other.example.org'
const SERVICE = '_http._tcp.mirror.example.org'
const HOUR = 3600 * 1000
const DAY = 24 * HOUR
const SETTINGS = { resolve: true, grace: 300 }
const HOST_TIMEOUT = 86_400

/** A policy of one rule for each list of names; `*.example.org` stands for all below. */
const policyOf = (...lists: readonly (readonly string[])[]): Policy =>
  policyFor(...lists.map((list) => ({ list })))

/** The same, each for its users. */
function policyFor(...rulesFor: readonly { list: readonly string[]; users?: readonly number[] }[]): Policy {
  const rules = rulesFor.map(({ list, users }, i) =>
    compile({
      reason: 'mirror',
      name: `rule ${i}`,
      protocol: 'tcp',
      ports: [],
      users,
      prefixes: [],
      names: list.filter((name) => !name.startsWith('*')),
      domains: list.filter((name) => name.startsWith('*')).map((name) => name.slice(2)),
    }),
  )
  return assemble({
    mode: 'enforce',
    canary: undefined,
    ephemeralPorts: EPHEMERAL_PORTS,
    trustedUsers: [0, 990],
    rules,
    queryPolicy: undefined,
  })
}

/** The service's knowledge, with a kernel, a log and resolvers that are played by the test. */
function learning(t: Test, { directory = t.testdir(), ...options }: Partial<LearnedOptions> = {}) {
  const clock = Clock.install(t)
  const zone = Zone.install(t)
  const state = {
    directory,
    clock,
    zone,
    sent: [] as ReadonlyMap<Rule, HostChanges>[],
    warnings: [] as string[],
    errors: [] as string[],
    counts: { successes: 0, failures: 0 },
    targets: 0,
    kernel: async (): Promise<void> => {},
    busy: false,
    learned: undefined as unknown as LearnedAddresses,
    /** Lets time pass, with a tick each second at its end, and each minute before. */
    pass: async (ms: number) => {
      for (let left = ms; left > 0; left -= 60_000) {
        await clock.pass(Math.min(left, 60_000))
        await state.learned.tick()
      }
    },
  }
  state.learned = new LearnedAddresses({
    directory,
    firewall: {
      changeHosts: (changes) => {
        state.sent.push(changes)
        return state.kernel()
      },
    },
    onLookedUp: () => void state.counts.successes++,
    onLookUpFailed: () => void state.counts.failures++,
    log: {
      warn: (text: string) => void state.warnings.push(text),
      error: (text: string) => void state.errors.push(text),
    } as unknown as LearnedOptions['log'],
    isBusy: () => state.busy,
    onTargets: async () => void state.targets++,
    hostTimeout: HOST_TIMEOUT,
    ...options,
  })
  t.teardown(() => state.learned.stop())
  return state
}
type Learning = ReturnType<typeof learning>

const reading = (texts: readonly string[], more: Partial<AnswerContent> = {}): AnswerContent => ({
  hosts: hosts(...texts),
  targets: [],
  aliases: [],
  ttl: 60,
  ...more,
})

const ROOT: Asker = { uid: 0, trusted: true, isForgeable: false }
const WWW_DATA: Asker = { uid: 33, trusted: false, isForgeable: true }

/** An answer to one who updates, or to anybody else. */
const hear = (its: Learning, name: string, what: AnswerContent, trusted = true) =>
  hearAs(its, trusted ? ROOT : WWW_DATA, name, what)
const hearAs = (its: Learning, asker: Asker, name: string, what: AnswerContent) =>
  its.learned.learn(questionOf(asked(name, A)), what, asker)

const hostsOf = ({ rules }: Policy, rule = 0) => [...rules[rule]!.addresses].map(textOf).toSorted()
const formerOf = ({ rules }: Policy, rule = 0) => [...rules[rule]!.formerAddresses].map(textOf).toSorted()
/** What the kernel was told of a rule, as `+198.51.100.1`. */
const told = (its: Learning, { rules }: Policy, rule = 0) =>
  its.sent.flatMap((changes) => {
    const { added = [], removed = [] } = changes.get(rules[rule]!) ?? {}
    return [...added.map((each) => `+${textOf(each)}`), ...removed.map((each) => `-${textOf(each)}`)]
  })

t.test('at start all names are looked up, and the kernel is told of all at once', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME, OTHER])
  its.zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(policy, [], SETTINGS)
  t.same(hostsOf(policy), ['198.51.100.1', '198.51.100.2', '2001:db8::1'])
  await its.clock.pass(100)
  t.equal(its.sent.length, 1)
  t.same(told(its, policy).toSorted(), ['+198.51.100.1', '+198.51.100.2', '+2001:db8::1'])
  t.same(its.counts, { successes: 2, failures: 0 })
  t.same(its.learned.known.toSorted(), [NAME, OTHER])
})

t.test('without resolvers the start takes three seconds, and none where all is known', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.delay = () => new Promise(() => {})
  let over = false
  const start = its.learned.start(policy, [], SETTINGS).then(() => {
    over = true
  })
  await its.clock.pass(2999)
  t.equal(over, false)
  await its.clock.pass(1)
  t.equal(over, true)
  await start
})

t.test('where names are not to be looked up, none is asked for', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  await its.learned.start(policy, [SERVICE], { ...SETTINGS, resolve: false })
  await its.pass(DAY)
  t.same(its.zone.asked, [])
  hear(its, NAME, reading(['198.51.100.1']))
  t.same(hostsOf(policy), ['198.51.100.1'], 'but it is learned from answers')
})

t.test('ten minutes without resolvers change nothing', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
  await its.learned.start(policy, [], SETTINGS)
  its.zone.down = dnsError('ETIMEOUT')
  await its.pass(10 * 60_000)
  t.same(hostsOf(policy), ['198.51.100.1', '2001:db8::1'])
  t.same(told(its, policy), ['+198.51.100.1', '+2001:db8::1'])
})

t.test('an address that is answered no more is a former one: nothing new begins there', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  its.zone.set(NAME, ['198.51.100.2'])
  await its.pass(60 * 60_000)
  t.same([hostsOf(policy), formerOf(policy)], [['198.51.100.2'], ['198.51.100.1']])
  t.same(told(its, policy), ['+198.51.100.1', '+198.51.100.2', '-198.51.100.1'])
  const before = its.sent.length
  await its.pass(DAY)
  t.same(formerOf(policy), [])
  t.notOk(
    its.sent.slice(before).some((changes) => changes.get(policy.rules[0]!)?.removed.length),
    'the kernel knew it no more',
  )
})

t.test('failures of many names are one line, and not one each second', async (t) => {
  const its = learning(t)
  const names = Array.from({ length: 50 }, (_, i) => `m${i}.example.org`)
  its.zone.down = dnsError('ETIMEOUT')
  await its.learned.start(policyOf(names), [], SETTINGS)
  await its.learned.tick()
  t.equal(its.warnings.length, 1)
  t.match(
    its.warnings[0],
    /^m\d+\.example\.org and 49 other names cannot be looked up \(198\.51\.100\.53: query ETIMEOUT\)/,
  )
  for (let second = 0; second < 60; second++) {
    await its.clock.pass(1000)
    await its.learned.tick()
  }
  t.ok(its.warnings.length <= 7, `${its.warnings.length} lines in a minute`)
  t.ok(its.counts.failures > 200, `${its.counts.failures} failures counted`)
})

t.test('a single failure names no others; after it nothing more is said', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.learned.tick()
  its.zone.set(NAME, ['198.51.100.1'])
  await its.pass(60 * 60_000)
  t.match(its.warnings, [/^mirror\.example\.org cannot be looked up \(it has no address\)/])
  t.equal(its.warnings.length, 1)
})

t.test('an address that two names of a rule share goes only with the last', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME, OTHER])
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  its.zone.set(NAME, ['198.51.100.2'])
  await its.pass(HOUR)
  t.ok(hostsOf(policy).includes('198.51.100.1'))
  t.notOk(told(its, policy).includes('-198.51.100.1'))
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.pass(HOUR)
  t.same(hostsOf(policy), ['198.51.100.2'])
  t.equal(told(its, policy).filter((text) => text === '-198.51.100.1').length, 1)
})

t.test('each rule has the addresses of its own names', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME], ['*.example.org'], ['other.example.net'])
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  hear(its, OTHER, reading(['198.51.100.2']))
  t.same(
    [0, 1, 2].map((rule) => hostsOf(policy, rule)),
    [['198.51.100.1'], ['198.51.100.1', '198.51.100.2'], []],
  )
})

t.test('names that no rule has teach nothing', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  for (const name of ['example.org', 'evilexample.org', 'example.org.evil.example.net', '']) {
    t.equal(its.learned.isOfInterest(questionOf(asked(name))), false, name)
    hear(its, name, reading(['198.51.100.66'], { aliases: ['x.example.net'] }))
  }
  t.same([its.learned.known, hostsOf(policy), its.learned.isWayTo('x.example.net')], [[], [], false])
})

t.test('a reload: both policies are served until one is in force', async (t) => {
  const its = learning(t)
  const [before, after] = [policyOf([NAME]), policyOf([NAME, OTHER])]
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(before, [], SETTINGS)
  const known = its.learned.follow(after, [], SETTINGS)
  t.same(hostsOf(after), ['198.51.100.1'], 'what is known, at once')
  await known
  t.same(hostsOf(after), ['198.51.100.1', '198.51.100.2'], 'and what is new, soon')
  hear(its, NAME, reading(['198.51.100.3']))
  t.same(
    [before, after].map((policy) => hostsOf(policy).includes('198.51.100.3')),
    [true, true],
  )
  its.learned.settle(after)
  hear(its, NAME, reading(['198.51.100.4']))
  t.same(
    [before, after].map((policy) => hostsOf(policy).includes('198.51.100.4')),
    [false, true],
  )
})

t.test(
  'a reload that fails leaves the old policy as it was, and what comes later is counted right',
  async (t) => {
    const its = learning(t)
    const [before, after] = [policyOf([NAME, OTHER]), policyOf(['new.example.org'])]
    its.zone.set(NAME, ['198.51.100.1'])
    its.zone.set(OTHER, ['198.51.100.2'])
    await its.learned.start(before, [], SETTINGS)
    for (let time = 0; time < 3; time++) {
      await its.learned.follow(after, [], SETTINGS)
      its.learned.follow(before, [], SETTINGS)
      its.learned.settle(before)
    }
    await settled()
    t.same(hostsOf(before), ['198.51.100.1', '198.51.100.2'])
    its.zone.down = dnsError('ETIMEOUT')
    await its.pass(HOUR)
    t.same(hostsOf(before), ['198.51.100.1', '198.51.100.2'], 'its names are looked up again')
    its.zone.down = undefined
    its.zone.set(NAME, ['198.51.100.3'])
    await its.pass(2 * HOUR)
    t.same(hostsOf(before).toSorted(), ['198.51.100.2', '198.51.100.3'])
  },
)

t.test('a name that a reload takes away is forgotten, here and in what is kept', async (t) => {
  const its = learning(t)
  const [before, after] = [policyOf([NAME, OTHER]), policyOf([OTHER])]
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(before, [], SETTINGS)
  await its.learned.follow(after, [], SETTINGS)
  its.learned.settle(after)
  t.same(its.learned.known, [OTHER])
  await its.learned.tick()
  t.same(Object.keys(JSON.parse(readFileSync(join(its.directory, 'addresses.json'), 'utf8')).names), [OTHER])
  const asked = its.zone.asked.length
  await its.pass(HOUR)
  t.notOk(its.zone.asked.slice(asked).some((text) => text.endsWith(NAME)))
})

t.test(
  'a rule that is replaced by an equal one is told to the kernel by the reload, not by changes',
  async (t) => {
    const its = learning(t)
    const [before, after] = [policyOf([NAME]), policyOf([NAME])]
    its.zone.set(NAME, ['198.51.100.1'])
    await its.learned.start(before, [], SETTINGS)
    await its.clock.pass(100)
    await its.learned.follow(after, [], SETTINGS)
    its.learned.settle(after)
    await its.clock.pass(1000)
    t.same([told(its, before), told(its, after)], [['+198.51.100.1'], []])
  },
)

/** The same service after it was stopped and started anew, some time later, on the same folder. */
async function restarted(
  t: Test,
  its: Learning,
  policy: Policy,
  later = 0,
  services: readonly string[] = [],
) {
  await its.learned.stop()
  const next = learning(t, { directory: its.directory })
  await next.clock.pass(its.clock.now() - next.clock.now() + later)
  next.zone.down = dnsError('ETIMEOUT')
  await next.learned.start(policy, services, SETTINGS)
  return next
}

t.test('what was known counts after a restart without resolvers, be it an hour or a day later', async (t) => {
  for (const later of [0, HOUR, DAY, 6 * DAY]) {
    const its = learning(t)
    its.zone.set(NAME, ['198.51.100.1'], ['2001:db8::1'])
    await its.learned.start(policyOf([NAME]), [], SETTINGS)
    await its.learned.tick()
    const policy = policyOf([NAME])
    const next = await restarted(t, its, policy, later)
    await next.pass(10 * 60_000)
    t.same(hostsOf(policy), ['198.51.100.1', '2001:db8::1'], `${later / HOUR} hours later`)
  }
})

t.test('an address that has been the same for a month counts after a restart as well', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.ttl = 3600
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.pass(30 * DAY)
  const policy = policyOf([NAME])
  await restarted(t, its, policy, HOUR)
  t.same(hostsOf(policy), ['198.51.100.1'])
})

t.test('so it does where the host lost its power', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.ttl = 3600
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.pass(30 * DAY)
  const file = join(its.directory, 'addresses.json')
  const kept = readFileSync(file)
  await its.learned.stop()
  writeFileSync(file, kept)
  const policy = policyOf([NAME])
  await restarted(t, its, policy, HOUR)
  t.same(hostsOf(policy), ['198.51.100.1'])
})

t.test('answers replace what was known before a restart', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  const policy = policyOf([NAME])
  const next = await restarted(t, its, policy, HOUR)
  next.zone.down = undefined
  next.zone.set(NAME, ['198.51.100.2'])
  await next.pass(5 * 60_000)
  t.same(hostsOf(policy), ['198.51.100.2'])
})

t.test('of what is kept, only what is still allowed is taken', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  const policy = policyOf([OTHER])
  const next = await restarted(t, its, policy)
  t.same([hostsOf(policy), next.learned.known], [[], []])
})

t.test('names under wildcards are kept for as long as their answers', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }))
  await its.learned.tick()
  for (const [later, expected] of [
    [HOUR / 2, ['198.51.100.1']],
    [2 * HOUR, []],
  ] as const) {
    const policy = policyOf(['*.example.org'])
    await restarted(t, its, policy, later)
    t.same(hostsOf(policy), expected)
  }
})

t.test('a folder that cannot be written to is told, and is no end', async (t) => {
  const directory = t.testdir()
  mkdirSync(join(directory, 'addresses.json.new'))
  const its = learning(t, { directory })
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  await its.learned.tick()
  t.match(its.errors, [
    /addresses\.json cannot be written: .*EISDIR.*a restart loses the latest addresses of names$/,
  ])
  await its.learned.stop()
})

t.test('a kernel that does not take addresses is told of, and told again', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1'])
  its.kernel = async () => {
    throw new Error('no')
  }
  await its.learned.start(policy, [], SETTINGS)
  await its.clock.pass(100)
  t.match(its.errors, [/^the kernel has not taken new addresses of mirrors: no$/])
  its.kernel = async () => {}
  await its.clock.pass(5000)
  t.same(told(its, policy), ['+198.51.100.1', '+198.51.100.1'])
})

t.test('an address stays in the kernel for as long as it is current', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME])
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  await its.clock.pass(100)
  const times = [its.clock.now()]
  for (let minute = 0; minute < 3 * 24 * 60; minute++) {
    const before = its.sent.length
    await its.pass(60_000)
    if (its.sent.length > before) times.push(its.clock.now())
  }
  times.push(its.clock.now())
  const longest = Math.max(...times.slice(1).map((time, i) => time - times[i]!))
  t.ok(longest <= (HOST_TIMEOUT * 1000) / 2, `told anew after ${longest / HOUR} hours at most`)
})

t.test('a busy service lets an answer wait for the kernel', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  t.equal(hear(its, NAME, reading(['198.51.100.1'])), undefined, 'not where it keeps up')
  await its.clock.pass(100)
  its.busy = true
  t.equal(hear(its, NAME, reading(['198.51.100.1'])), undefined, 'nor where the kernel knows it')
  let end = () => {}
  its.kernel = () =>
    new Promise<void>((resolve) => {
      end = resolve
    })
  const waits = [hear(its, OTHER, reading(['198.51.100.2']))]
  await settled()
  // Another program hears the same while the kernel is still told.
  waits.push(hear(its, OTHER, reading(['198.51.100.2'])))
  let over = 0
  for (const wait of waits) wait?.then(() => over++)
  await settled()
  t.equal(over, 0)
  t.ok(waits.every((wait) => wait !== undefined))
  end()
  await settled()
  t.equal(over, 2)
})

t.test('an answer to one who is not trusted waits for the kernel of a busy service as well', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  its.zone.set(OTHER, ['198.51.100.2'])
  its.busy = true
  its.kernel = () => new Promise(() => {})
  let over = false
  hear(its, OTHER, reading(['198.51.100.2']), false)?.then(() => {
    over = true
  })
  await its.clock.pass(0)
  t.same(its.learned.known, [OTHER])
  t.equal(over, false)
})

t.test('a forged answer to an accomplice teaches nothing: the service asks for itself', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  its.zone.set(NAME, ['198.51.100.1'])
  await hear(its, NAME, reading(['198.51.100.66'], { aliases: ['evil.example.net'] }), false)
  t.same([hostsOf(policy), its.learned.isWayTo('evil.example.net')], [['198.51.100.1'], false])
  t.same(its.zone.asked, [`A ${NAME}`, `AAAA ${NAME}`])
  t.same(its.zone.askedByUdp, [], 'where nobody can forge an answer to it')
})

t.test('where no resolver takes TCP, answers to those who are not trusted teach nothing', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME, OTHER], ['*.example.net'])
  its.zone.takesTcp = false
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(policy, [], SETTINGS)
  t.same(hostsOf(policy), ['198.51.100.1', '198.51.100.2'], 'names of the list are looked up all the same')
  const before = its.zone.asked.length
  its.zone.set(NAME, ['198.51.100.66'])
  its.zone.set('n.example.net', ['198.51.100.66'])
  await hear(its, NAME, reading(['198.51.100.66']), false)
  await hear(its, 'n.example.net', reading(['198.51.100.66']), false)
  t.same([hostsOf(policy), hostsOf(policy, 1)], [['198.51.100.1', '198.51.100.2'], []])
  t.same(its.zone.asked.slice(before), [], 'not asked for over UDP')
})

t.test('a forged answer for a name that does not exist teaches nothing', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  await hear(its, NAME, reading(['198.51.100.66']), false)
  its.zone.down = dnsError('ETIMEOUT')
  await hear(its, OTHER, reading(['198.51.100.66']), false)
  t.same([hostsOf(policy), its.learned.known], [[], []])
})

t.test('a right answer to anybody is known, and nothing is asked for', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  const before = its.zone.asked.length
  for (let i = 0; i < 100; i++) t.equal(hear(its, NAME, reading(['198.51.100.1']), false), undefined)
  t.equal(its.zone.asked.length, before)
})

t.test(
  'many answers for one name are one question of the service; too many at once wait for nothing',
  async (t) => {
    const its = learning(t)
    await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    its.zone.delay = () => gate
    for (let i = 0; i < 100; i++) hear(its, NAME, reading([`198.51.100.${i}`]), false)
    t.equal(its.zone.asked.length, 2)
    for (let uid = 1000; uid < 1100; uid++)
      hearAs(
        its,
        { uid, trusted: false, isForgeable: true },
        `n${uid}.example.org`,
        reading(['198.51.100.66']),
      )
    t.equal(its.zone.asked.length, 64)
    let over = false
    hear(its, 'more.example.org', reading(['198.51.100.66']), false)?.then(() => {
      over = true
    })
    await settled()
    t.equal(over, true)
    go()
    await settled()
    its.zone.set(NAME, ['198.51.100.1'])
    await hear(its, NAME, reading(['198.51.100.1']), false)
    t.same(its.learned.known, [NAME], 'and then there is room again')
  },
)

t.test('one user has eight such questions at a time, and leaves the others to others', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  its.zone.delay = () => new Promise(() => {})
  for (const [uid, expected] of [
    [33, 8],
    [34, 16],
    [-1, 24],
  ] as const) {
    for (let i = 0; i < 100; i++)
      hearAs(
        its,
        { uid, trusted: false, isForgeable: true },
        `n${uid}-${i}.example.org`,
        reading(['198.51.100.66']),
      )
    t.equal(its.zone.asked.length / 2, expected)
  }
})

t.test('what no rule allows to a user he neither teaches nor has looked up: mirrors, for one', async (t) => {
  const its = learning(t)
  const policy = policyFor(
    { list: [NAME], users: [0] },
    { list: ['*.example.com'], users: [0, 1001] },
    { list: ['www.example.com'], users: [33] },
  )
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policy, [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1'], { aliases: ['cdn.example.net'] }))
  const before = its.zone.asked.length
  const everything = [NAME, 'cdn.example.net', 'a.example.com']
  for (const name of everything) {
    t.equal(hear(its, name, reading(['198.51.100.2']), false), undefined, name)
    t.equal(
      hearAs(its, { uid: -1, trusted: false, isForgeable: true }, name, reading(['198.51.100.2'])),
      undefined,
      name,
    )
  }
  t.equal(its.zone.asked.length, before)
  its.zone.set('www.example.com', ['198.51.100.3'])
  its.zone.set('a.example.com', ['198.51.100.4'])
  await hear(its, 'www.example.com', reading(['198.51.100.3']), false)
  await hearAs(
    its,
    { uid: 1001, trusted: false, isForgeable: true },
    'a.example.com',
    reading(['198.51.100.4']),
  )
  t.same(
    [0, 1, 2].map((rule) => hostsOf(policy, rule)),
    [['198.51.100.1'], ['198.51.100.3', '198.51.100.4'], ['198.51.100.3']],
    'what some rule allows, he does',
  )
})

t.test('an alias that leads from his name is asked for, and teaches that name alone', async (t) => {
  const its = learning(t)
  const policy = policyFor({ list: [NAME], users: [0] }, { list: [OTHER], users: [33] })
  await its.learned.start(policy, [], SETTINGS)
  for (const name of [NAME, OTHER]) hear(its, name, reading([], { aliases: ['cdn.example.net'] }))
  its.zone.set(OTHER, ['198.51.100.1'])
  its.zone.set(NAME, ['198.51.100.1'])
  await hear(its, 'cdn.example.net', reading(['198.51.100.1']), false)
  t.same([hostsOf(policy, 0), hostsOf(policy, 1)], [[], ['198.51.100.1']])
})

t.test('a rule that goes while the service asks is none any more', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  its.zone.set(NAME, ['198.51.100.1'])
  const confirmed = hear(its, NAME, reading(['198.51.100.1']), false)
  const after = policyFor({ list: ['*.example.org'], users: [0] })
  its.learned.follow(after, [], { ...SETTINGS, resolve: false })
  its.learned.settle(after)
  await confirmed
  t.same(its.learned.known, [])
})

/** A user without trust asks for many names, each once, and the resolver has this to say of all of them. */
async function flood(its: Learning, names: readonly string[], texts: (i: number) => string[]) {
  for (const [i, name] of names.entries()) {
    its.zone.set(name, texts(i))
    await hear(its, name, reading(texts(i)), false)
  }
}

t.test('whoever is not trusted pushes out nothing that those who are have learned', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'], [NAME])
  its.zone.set(NAME, many(64, 5000))
  await its.learned.start(policy, [], SETTINGS)
  hear(its, OTHER, reading(many(64, 6000)))
  const before = hostsOf(policy)
  const turns = Array.from({ length: 60 })
  await flood(its, turns.fill(NAME) as string[], (i) => many(16, i * 16))
  await flood(its, turns.fill(OTHER) as string[], (i) => many(16, i * 16))
  const names = Array.from({ length: 1500 }, (_, i) => `n${i}.example.org`)
  await flood(its, names, (i) => many(16, 1000 + i))
  const after = new Set(hostsOf(policy))
  t.ok(before.length === 128 && before.every((text) => after.has(text)))
  t.ok(its.learned.known.length <= 2 + 256, `${its.learned.known.length} names`)
})

t.test('nor by what the service hears when it asks for him', async (t) => {
  const its = learning(t, { ownUid: 990 })
  await its.learned.start(policyOf(['*.example.org'], [NAME]), [], SETTINGS)
  const own: Asker = { uid: 990, trusted: true, isForgeable: false }
  hear(its, OTHER, reading(['198.51.100.1']))
  for (let i = 0; i < 17_000; i++) hearAs(its, own, `n${i}.example.org`, reading(many(1, i)))
  t.ok(its.learned.known.length <= 1 + 1024, `${its.learned.known.length} names`)
  t.equal(its.learned.current(OTHER).length, 1)
  hearAs(its, own, OTHER, reading([], { aliases: ['cdn.example.net'] }))
  t.equal(its.learned.isWayTo('cdn.example.net'), true, 'which tells the way')
  for (let turn = 0; turn < 4; turn++) hearAs(its, own, NAME, reading(many(16, turn * 16)))
  t.equal(its.learned.current(NAME).length, 64, 'and for names that are watched it asks for itself')
})

t.test('as root, too, while it asks', async (t) => {
  const its = learning(t, { ownUid: 0 })
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  its.zone.delay = () => new Promise(() => {})
  hear(its, NAME, reading(['198.51.100.1']), false)
  for (const name of [NAME, OTHER])
    for (let turn = 0; turn < 4; turn++) hear(its, name, reading(many(16, turn * 16)))
  t.same([its.learned.current(NAME).length, its.learned.current(OTHER).length], [16, 64])
})

t.test('an address that both have learned goes with the last of them, after a reload as well', async (t) => {
  const its = learning(t)
  const [before, after] = [policyOf(['*.example.org']), policyOf(['*.example.org'])]
  await its.learned.start(before, [], SETTINGS)
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.ttl = 3600
  hear(its, NAME, reading(['198.51.100.1']))
  await hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }), false)
  t.equal(its.learned.entries(NAME).length, 2)
  t.equal(its.learned.current(NAME).length, 1, 'status shows it once')
  await its.learned.follow(after, [], SETTINGS)
  its.learned.settle(after)
  await its.pass((60 + SETTINGS.grace) * 1000)
  t.same([hostsOf(after), formerOf(after)], [['198.51.100.1'], ['198.51.100.1']])
  t.notOk(told(its, after).includes('-198.51.100.1'))
  await its.pass(HOUR)
  t.same([hostsOf(after), formerOf(after)], [[], ['198.51.100.1']])
  t.equal(told(its, after).filter((text) => text === '-198.51.100.1').length, 1)
  await its.pass(2 * DAY)
  t.same(formerOf(after), [])
})

t.test('whoever may use an answer for a long time can do so: an answer anew is a time anew', async (t) => {
  for (const trusted of [true, false]) {
    const its = learning(t)
    const policy = policyOf(['*.example.org'])
    await its.learned.start(policy, [], SETTINGS)
    its.zone.set(NAME, ['198.51.100.1'])
    its.zone.ttl = 3600
    await hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }), trusted)
    await its.pass(3500 * 1000)
    await hear(its, NAME, reading(['198.51.100.1'], { ttl: 3600 }), trusted)
    await its.pass(3500 * 1000)
    t.same(hostsOf(policy), ['198.51.100.1'], trusted ? 'trusted' : 'not trusted')
  }
})

t.test('aliases: an answer for a part of the way is one for the name', async (t) => {
  const its = learning(t)
  const policy = policyOf(['*.example.org'])
  await its.learned.start(policy, [], SETTINGS)
  t.equal(its.learned.isWayTo('cdn.example.net'), false)
  hear(its, NAME, reading([], { aliases: ['cdn.example.net', 'edge.example.net'] }))
  t.same([its.learned.isWayTo('cdn.example.net'), its.learned.isWayTo('edge.example.net')], [true, true])
  t.equal(its.learned.isOfInterest(questionOf(asked('edge.example.net'))), true)
  hear(its, 'edge.example.net', reading(['198.51.100.1'], { aliases: ['far.example.net'] }))
  hear(its, 'far.example.net', reading(['198.51.100.2']))
  t.same(hostsOf(policy), ['198.51.100.1', '198.51.100.2'])
  t.same(its.learned.known, [NAME])
})

t.test('an alias is one for as long as its answer, and for a day at most', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1'], { aliases: ['cdn.example.net'] }))
  await its.pass((60 + SETTINGS.grace) * 1000 - 1000)
  t.equal(its.learned.isWayTo('cdn.example.net'), true)
  await its.pass(1000)
  t.equal(its.learned.isWayTo('cdn.example.net'), false)
  hear(its, 'cdn.example.net', reading(['198.51.100.66']))
  t.notOk(its.learned.entries(NAME).some(({ host }) => textOf(host) === '198.51.100.66'))
})

t.test('an alias of a name that a reload takes away is none any more', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1'], { aliases: ['cdn.example.net'] }))
  const after = policyOf(['*.example.com'])
  await its.learned.follow(after, [], SETTINGS)
  its.learned.settle(after)
  t.equal(its.learned.isWayTo('cdn.example.net'), false)
})

t.test('aliases are bounded, the oldest out first', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  for (let i = 0; i < 5000; i++)
    hear(its, NAME, reading(['198.51.100.1'], { aliases: [`a${i}.example.net`] }))
  const known = Array.from({ length: 5000 }, (_, i) => its.learned.isWayTo(`a${i}.example.net`))
  t.equal(known.filter(Boolean).length, 4096)
  t.same([known[0], known[4999]], [false, true])
})

t.test('an alias that is an allowed name itself is learned for both, whoever has asked', async (t) => {
  for (const trusted of [true, false]) {
    const its = learning(t)
    const policy = policyOf([NAME], ['*.example.net'])
    its.zone.set(NAME, ['198.51.100.1'])
    await its.learned.start(policy, [], SETTINGS)
    hear(its, NAME, reading(['198.51.100.1'], { aliases: ['cdn.example.net'] }))
    its.zone.set(NAME, ['198.51.100.2'])
    its.zone.set('cdn.example.net', ['198.51.100.2'])
    await hear(its, 'cdn.example.net', reading(['198.51.100.2']), trusted)
    t.ok(hostsOf(policy, 0).includes('198.51.100.2'), 'for the name that leads to it')
    t.same(hostsOf(policy, 1), ['198.51.100.2'], `for itself, ${trusted ? '' : 'not '}trusted`)
  }
})

const service = (its: Learning, targets: AnswerContent['targets'], trusted = true) =>
  its.learned.learn(
    questionOf(asked(SERVICE, SRV)),
    { hosts: [], targets, aliases: [], ttl: 60 },
    trusted ? ROOT : WWW_DATA,
  )
const ONE = { name: 'a.example.org', port: 80 }
const TWO = { name: 'b.example.org', port: 8080 }

t.test('services are looked up, and a new target makes a new policy', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.setService(SERVICE, [['a.example.org', 80]])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await settled()
  t.same([its.learned.targets(SERVICE), its.targets], [[ONE], 1])
  await its.pass(HOUR)
  t.equal(its.targets, 1, 'the same target is no news')
  t.equal(its.learned.isWayTo(SERVICE), true)
  t.equal(its.learned.isOfInterest(questionOf(asked(SERVICE, SRV))), true)
})

t.test('a program that hears of a target waits until packets are judged by it', async (t) => {
  let end = () => {}
  const its = learning(t, {
    onTargets: () =>
      new Promise<void>((resolve) => {
        end = resolve
      }),
  })
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  let over = false
  service(its, [ONE])?.then(() => {
    over = true
  })
  await settled()
  t.equal(over, false)
  end()
  await settled()
  t.equal(over, true)
  t.equal(service(its, [ONE]), undefined, 'once it is known, nobody waits')
})

t.test('targets are learned neither from whom nobody trusts nor for what nobody wants', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  t.equal(service(its, [ONE], false), undefined)
  its.learned.learn(
    questionOf(asked(`_ftp._tcp.${NAME}`, SRV)),
    { hosts: [], targets: [TWO], aliases: [], ttl: 60 },
    ROOT,
  )
  t.same([its.learned.targets(SERVICE), its.learned.targets(`_ftp._tcp.${NAME}`), its.targets], [[], [], 0])
})

t.test('a target that is answered no more makes a new policy, too', async (t) => {
  const its = learning(t)
  its.zone.setService(SERVICE, [['a.example.org', 80]])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  its.zone.setService(SERVICE, [['b.example.org', 8080]])
  await its.pass(HOUR)
  t.same([its.learned.targets(SERVICE), its.targets], [[TWO], 3])
})

t.test('targets are known after a restart, without resolvers', async (t) => {
  const its = learning(t)
  its.zone.setService(SERVICE, [['a.example.org', 80]])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await its.learned.tick()
  const next = await restarted(t, its, policyOf([NAME]), DAY, [SERVICE])
  await next.pass(DAY)
  t.same(next.learned.targets(SERVICE), [ONE])
})

t.test('a host without such a service is nobody’s failure', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await its.pass(HOUR)
  t.same([its.warnings, its.counts.failures, its.targets], [[], 0, 0])
})

t.test(
  'a flood of names under a wildcard is bounded, and takes nothing from the names of the list',
  async (t) => {
    const its = learning(t)
    const policy = policyOf([NAME], ['*.example.org'])
    its.zone.set(NAME, ['198.51.100.1'])
    await its.learned.start(policy, [], SETTINGS)
    for (let i = 0; i < 20_000; i++) hear(its, `n${i}.example.org`, reading(many(1, i), { ttl: 86_400 }))
    t.equal(its.learned.known.length, 1 + 16_384)
    t.equal(policy.rules[1]!.addresses.size, 1 + 16_384)
    t.same(hostsOf(policy), ['198.51.100.1'])
  },
)

t.test('the end leaves no timer, and nothing is asked after it', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [SERVICE], SETTINGS)
  await its.pass(60_000)
  t.equal(its.clock.kept, 0, 'nor does any timer keep the process alive before')
  await its.learned.stop()
  t.equal(its.clock.timers, 0)
  const asked = its.zone.asked.length
  await its.clock.pass(DAY)
  t.equal(its.zone.asked.length, asked)
})

t.test('what was learned since the last look is kept at the end', async (t) => {
  const its = learning(t)
  await its.learned.start(policyOf(['*.example.org']), [], SETTINGS)
  hear(its, NAME, reading(['198.51.100.1']))
  await its.learned.stop()
  const { names } = JSON.parse(readFileSync(join(its.directory, 'addresses.json'), 'utf8'))
  t.match(names, { [NAME]: [{ address: '198.51.100.1' }] })
  t.equal(host(names[NAME][0].address).family, 4)
})

t.test(
  'where others than those who are trusted may go, what is believed cannot have been forged',
  async (t) => {
    const forgeable = { ...ROOT, isForgeable: true }
    for (const users of [undefined, [0, 33]]) {
      const its = learning(t)
      const policy = policyFor({ list: ['*.example.org'], ...(users && { users }) })
      await its.learned.start(policy, [], { ...SETTINGS, resolve: false })
      its.zone.set(NAME, ['198.51.100.1'])
      const confirmed = hearAs(its, forgeable, NAME, reading(['198.51.100.66']))
      t.same(hostsOf(policy), [], 'over UDP, the service asks as well')
      await confirmed
      t.same(hostsOf(policy), ['198.51.100.1'])
      await hearAs(its, ROOT, NAME, reading(['198.51.100.2']))
      t.same(hostsOf(policy), ['198.51.100.1', '198.51.100.2'], 'over TCP it does not')
    }
    const its = learning(t)
    const policy = policyFor({ list: ['*.example.org'], users: [0, 990] })
    await its.learned.start(policy, [], { ...SETTINGS, resolve: false })
    t.equal(hearAs(its, forgeable, NAME, reading(['198.51.100.3'])), undefined)
    t.same(hostsOf(policy), ['198.51.100.3'], 'a mirror opens nothing to those who are not')
  },
)

t.test('others keep those who are trusted from no confirmation', async (t) => {
  const its = learning(t)
  await its.learned.start(policyFor({ list: ['*.example.org'] }), [], { ...SETTINGS, resolve: false })
  its.zone.delay = () => new Promise(() => {})
  for (let uid = 1000; uid < 1010; uid++)
    for (let i = 0; i < 8; i++)
      hearAs(its, { ...WWW_DATA, uid }, `n${uid}-${i}.example.org`, reading(['198.51.100.66']))
  t.equal(its.zone.asked.length / 2, 32)
  for (let i = 0; i < 100; i++)
    hearAs(its, { ...ROOT, isForgeable: true }, `root${i}.example.org`, reading(['198.51.100.66']))
  t.equal(its.zone.asked.length / 2, 64)
})

t.test('names of the allowlist have room, looked up by the service or not', async (t) => {
  const its = learning(t)
  const names = Array.from({ length: 300 }, (_, i) => `n${i}.example.org`)
  const policy = policyOf(names)
  await its.learned.start(policy, [], { ...SETTINGS, resolve: false })
  for (const [i, name] of names.entries())
    hear(
      its,
      name,
      reading(Array.from({ length: 64 }, (_, a) => `198.18.${i % 250}.${a + Math.floor(i / 250) * 64}`)),
    )
  t.equal(its.learned.current(names[0]!).length, 64, 'of 19,200 addresses')
})
