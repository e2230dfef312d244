import t from 'tap'
import { settled } from '../clock.js'
import { dnsError } from '../dns/zone.js'
import {
  hear,
  hearAs,
  hostsOf,
  learning,
  NAME,
  OTHER,
  policyFor,
  policyOf,
  ROOT,
  reading,
  SETTINGS,
  WWW_DATA,
} from './learning.js'

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
