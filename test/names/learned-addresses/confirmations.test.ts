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

t.test(
  'a forged answer to an untrusted user teaches nothing: the service asks for the name itself',
  async (t) => {
    const its = learning(t)
    const policy = policyOf(['*.example.org'])
    await its.learned.start(policy, [], SETTINGS)
    its.zone.set(NAME, ['198.51.100.1'])
    await hear(its, NAME, reading(['198.51.100.66'], { aliases: ['evil.example.net'] }), false)
    t.same([hostsOf(policy), its.learned.isWayTo('evil.example.net')], [['198.51.100.1'], false])
    t.same(its.zone.asked, [`A ${NAME}`, `AAAA ${NAME}`])
    t.same(its.zone.askedByUdp, [], 'the service asks over TCP, where its answer cannot be forged')
  },
)

t.test('when no resolver accepts TCP, answers to untrusted users teach nothing', async (t) => {
  const its = learning(t)
  const policy = policyOf([NAME, OTHER], ['*.example.net'])
  its.zone.takesTcp = false
  its.zone.set(NAME, ['198.51.100.1'])
  its.zone.set(OTHER, ['198.51.100.2'])
  await its.learned.start(policy, [], SETTINGS)
  t.same(
    hostsOf(policy),
    ['198.51.100.1', '198.51.100.2'],
    'names of the allowlist are looked up all the same',
  )
  const before = its.zone.asked.length
  its.zone.set(NAME, ['198.51.100.66'])
  its.zone.set('n.example.net', ['198.51.100.66'])
  await hear(its, NAME, reading(['198.51.100.66']), false)
  await hear(its, 'n.example.net', reading(['198.51.100.66']), false)
  t.same([hostsOf(policy), hostsOf(policy, 1)], [['198.51.100.1', '198.51.100.2'], []])
  t.same(its.zone.asked.slice(before), [], 'the name is not asked for over UDP')
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

t.test('when an answer to an untrusted user is known already, the service does not ask', async (t) => {
  const its = learning(t)
  its.zone.set(NAME, ['198.51.100.1'])
  await its.learned.start(policyOf([NAME]), [], SETTINGS)
  const before = its.zone.asked.length
  for (let i = 0; i < 100; i++) t.equal(hear(its, NAME, reading(['198.51.100.1']), false), undefined)
  t.equal(its.zone.asked.length, before)
})

t.test(
  'many answers for one name cause one query of the service; beyond the limit of queries no answer waits',
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
    t.same(its.learned.known, [NAME], 'a new query is possible afterwards')
  },
)

t.test(
  'one user causes at most eight such queries at a time, and leaves the others to other users',
  async (t) => {
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
  },
)

t.test(
  'a user can neither teach a name that no rule allows to that user, nor cause a look-up of it',
  async (t) => {
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
      'the user can for a name that a rule allows',
    )
  },
)

t.test('an alias of an allowed name is asked for, and teaches that name only', async (t) => {
  const its = learning(t)
  const policy = policyFor({ list: [NAME], users: [0] }, { list: [OTHER], users: [33] })
  await its.learned.start(policy, [], SETTINGS)
  for (const name of [NAME, OTHER]) hear(its, name, reading([], { aliases: ['cdn.example.net'] }))
  its.zone.set(OTHER, ['198.51.100.1'])
  its.zone.set(NAME, ['198.51.100.1'])
  await hear(its, 'cdn.example.net', reading(['198.51.100.1']), false)
  t.same([hostsOf(policy, 0), hostsOf(policy, 1)], [[], ['198.51.100.1']])
})

t.test('a rule that is removed while the service asks learns nothing', async (t) => {
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
  'an answer for a rule that untrusted users may use is confirmed unless it cannot have been forged',
  async (t) => {
    const forgeable = { ...ROOT, isForgeable: true }
    for (const users of [undefined, [0, 33]]) {
      const its = learning(t)
      const policy = policyFor({ list: ['*.example.org'], ...(users && { users }) })
      await its.learned.start(policy, [], { ...SETTINGS, resolve: false })
      its.zone.set(NAME, ['198.51.100.1'])
      const confirmed = hearAs(its, forgeable, NAME, reading(['198.51.100.66']))
      t.same(hostsOf(policy), [], 'over UDP the service asks for the name itself')
      await confirmed
      t.same(hostsOf(policy), ['198.51.100.1'])
      await hearAs(its, ROOT, NAME, reading(['198.51.100.2']))
      t.same(hostsOf(policy), ['198.51.100.1', '198.51.100.2'], 'over TCP it does not ask')
    }
    const its = learning(t)
    const policy = policyFor({ list: ['*.example.org'], users: [0, 990] })
    await its.learned.start(policy, [], { ...SETTINGS, resolve: false })
    t.equal(hearAs(its, forgeable, NAME, reading(['198.51.100.3'])), undefined)
    t.same(hostsOf(policy), ['198.51.100.3'], 'a rule for trusted users only needs no confirmation')
  },
)

t.test('untrusted users cannot use up the confirmations of trusted users', async (t) => {
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
