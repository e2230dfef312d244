/** Tests the memory of first contacts: what is new again after a time, and its bounds. */
import t from 'tap'
import { FirstContacts } from '../../../src/core/record/first-contacts.js'

const MINUTE = 60_000
const to = (address: string, domain?: string) => ({ address, port: 443, domain, question: undefined })

t.test('a destination is new once, until it was quiet for longer than a summary takes', async (t) => {
  const contacts = new FirstContacts(10, 100)
  t.equal(contacts.note(to('203.0.113.1'), 0), 1)
  for (let minute = 1; minute < 200; minute += 15)
    t.equal(contacts.note(to('203.0.113.1'), minute * MINUTE), 0, 'tried again within 16 minutes')
  t.equal(contacts.note(to('203.0.113.1'), 300 * MINUTE), 1)
})

t.test('the highest number within a window is kept, with its time', async (t) => {
  const contacts = new FirstContacts(10, 100)
  for (let n = 0; n < 5; n++) contacts.note(to(`203.0.113.${n}`), 1000 * n)
  t.equal(contacts.note(to('203.0.113.9'), 12_500), 3, 'older ones are over')
  t.match(contacts, { most: 5, mostAt: 4000, current: 3 })
})

t.test('destinations and names that were noted longest ago are forgotten', async (t) => {
  const contacts = new FirstContacts(1, 10)
  for (let n = 0; n < 11; n++) contacts.note(to(`203.0.113.${n}`), 0)
  t.equal(contacts.note(to('203.0.113.10'), 5000), 0)
  t.equal(contacts.note(to('203.0.113.0'), 5000), 1, 'the eleventh has pushed it out')

  const named = new FirstContacts(1, 1_000_000)
  const first = (address: string, time: number) => named.note(to(address, 'a.example.org'), time)
  for (let n = 0; n < 8; n++) first(`198.51.100.${n}`, 0)
  t.equal(first('198.51.100.8', 0), 0, 'further addresses of names count as the name')
  for (let n = 0; n < 23; n++) first(`198.51.100.${100 + n}`, 0)
  t.ok(first('198.51.100.200', 5000) > 0, 'but not any number of them')
  for (let n = 0; n < 2048; n++) named.note(to('192.0.2.9', `n${n}.example.org`), 10_000)
  t.equal(first('198.51.100.201', 20_000), 0, 'a name that was forgotten has eight addresses again')
})
