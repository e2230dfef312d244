import bcrypt from 'bcryptjs'
import t from 'tap'
import { Passwords } from '../../../src/telemetry/http/passwords.js'

const HASH = bcrypt.hashSync('pass:word', 4)
const header = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const RIGHT = header('prometheus', 'pass:word')

const passwords = () => new Passwords(new Map([['prometheus', HASH]]))
const from = (client: string) => () => client

t.test('the right password is granted, and nothing else is', async (t) => {
  const check = (given: string | undefined, client: string) => passwords().check(given, from(client))
  t.equal(await check(RIGHT, 'a'), 'granted')
  t.equal(await check(RIGHT.replace('Basic', 'basic'), 'a'), 'granted')
  for (const wrong of [
    undefined,
    '',
    'Basic',
    'Basic !',
    RIGHT.replace('Basic', 'Bearer'),
    `Basic ${Buffer.from('prometheus').toString('base64')}`,
    header('prometheus', 'pass'),
    header('prometheus', ''),
    header('', 'pass:word'),
    header('other', 'pass:word'),
    header('__proto__', 'pass:word'),
  ])
    t.equal(await check(wrong, 'a'), 'denied', `${wrong}`)
})

t.test('a client that guesses has one check a second, and does not keep others out', async (t) => {
  const own = passwords()
  t.equal(await own.check(header('prometheus', 'guess'), from('worm')), 'denied')
  for (let guess = 0; guess < 100; guess++)
    t.equal(await own.check(header('prometheus', `${guess}`), from('worm')), 'busy')
  t.equal(await own.check(RIGHT, from('worm')), 'busy', 'not even the right one is checked')
  t.equal(await own.check(RIGHT, from('monitor')), 'granted')
  t.equal(await own.check(RIGHT, from('worm')), 'granted', 'a known one is no guess')
})

t.test('a password that was right costs no second check of its hash', async (t) => {
  const own = passwords()
  await own.check(RIGHT, from('a'))
  const asked = t.capture(bcrypt, 'compare', bcrypt.compare)
  t.equal(await own.check(RIGHT, from('a')), 'granted')
  t.same(asked.args(), [])
  t.equal(await own.check(header('prometheus', 'other'), from('a')), 'denied')
  t.equal(asked.args().length, 1)
})

t.test('clients that are checked at a time are bounded', async (t) => {
  const own = passwords()
  const all = Array.from({ length: 300 }, (_, client) =>
    own.check(header('prometheus', 'guess'), from(`${client}`)),
  )
  const results = await Promise.all(all)
  t.equal(results.filter((each) => each === 'busy').length, 300 - 256)
})
