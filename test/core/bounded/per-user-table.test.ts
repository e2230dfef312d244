import t from 'tap'
import { PerUserTable } from '../../../src/core/bounded/per-user-table.js'

const NOW = 1_800_000_000_000
const table = (room = 3, lifetime = 1000) => new PerUserTable<string>(room, lifetime)

t.test('a value is found by its key, for any user, until its time is over', async (t) => {
  const its = table()
  its.put(0, 'a', 'one', NOW)
  its.put(33, 'b', 'two', NOW)
  t.same([its.get('a', NOW), its.get('b', NOW + 999), its.get('c', NOW)], ['one', 'two', undefined])
  t.equal(its.get('a', NOW + 1000), undefined, 'the expired value was not removed yet')
})

t.test("a flood of one user evicts that user's oldest values, and no value of others", async (t) => {
  const its = table()
  its.put(0, 'root', 'kept', NOW)
  for (let i = 0; i < 10_000; i++) its.put(33, `k${i}`, `v${i}`, NOW)
  t.equal(its.size, 4)
  t.equal(its.get('root', NOW), 'kept')
  t.same(
    [9996, 9997, 9998, 9999].map((i) => its.get(`k${i}`, NOW)),
    [undefined, 'v9997', 'v9998', 'v9999'],
  )
})

t.test('a value with the same key replaces the previous one, and its time starts again', async (t) => {
  const its = table()
  for (const key of ['a', 'b', 'c']) its.put(0, key, 'old', NOW)
  its.put(0, 'a', 'new', NOW + 500)
  t.equal(its.size, 3)
  its.put(0, 'd', 'more', NOW + 500)
  t.same([its.get('a', NOW + 1200), its.get('b', NOW + 500)], ['new', undefined])
})

t.test('values past their time are removed, and no others', async (t) => {
  const its = table()
  its.put(0, 'a', 'one', NOW)
  its.put(0, 'b', 'two', NOW + 500)
  its.put(33, 'c', 'three', NOW)
  its.put(0, 'a', 'one again', NOW + 600)
  its.expire(NOW + 1000)
  t.equal(its.size, 2)
  its.expire(NOW + 1500)
  t.same([its.size, its.get('a', NOW + 1500)], [1, 'one again'])
  its.expire(NOW + 1600)
  t.equal(its.size, 0)
})

t.test('a deleted value is not found', async (t) => {
  const its = table()
  its.put(0, 'a', 'one', NOW)
  its.delete('a')
  its.delete('b')
  t.same([its.size, its.get('a', NOW)], [0, undefined])
})

t.test('the table has 256 users; a new user is accepted when one of them has no value left', async (t) => {
  const its = table()
  for (let uid = 0; uid < 300; uid++) its.put(uid, `k${uid}`, 'some', NOW)
  t.equal(its.size, 256)
  t.same([its.get('k255', NOW), its.get('k256', NOW)], ['some', undefined])
  its.put(255, 'more', 'some', NOW)
  t.equal(its.get('more', NOW), 'some', 'users in the table can still add values')
  its.expire(NOW + 1000)
  its.put(299, 'k299', 'some', NOW + 1000)
  t.equal(its.get('k299', NOW + 1000), 'some')
})

t.test('trusted users are always accepted', async (t) => {
  const its = table()
  for (let uid = 1000; uid < 2000; uid++) its.put(uid, `k${uid}`, 'some', NOW)
  its.put(0, 'root', 'kept', NOW, true)
  its.put(42, 'other', 'some', NOW)
  t.same([its.get('root', NOW), its.get('other', NOW)], ['kept', undefined])
  for (let i = 0; i < 10; i++) its.put(0, `r${i}`, 'some', NOW, true)
  t.equal(its.size, 259, 'a trusted user has the same limit')
})
