import t from 'tap'
import { UserNamespace } from '../../../src/kernel/proc/user-namespace.js'

t.test('on an ordinary host a user id maps to itself', async (t) => {
  const map = new UserNamespace('         0          0 4294967295\n')
  for (const uid of [0, 33, 1000, 4294967294]) t.equal(map.inside(uid), uid)
})

t.test('an unknown user is unknown in every map', async (t) => {
  for (const text of ['0 0 4294967295', '0 1000 1', '0 100000 65536\n', ''])
    t.equal(new UserNamespace(text).inside(-1), -1)
})

t.test('in a user namespace with one user, only that user has an id', async (t) => {
  const map = new UserNamespace('         0       1000          1\n')
  t.equal(map.inside(1000), 0)
  for (const outside of [0, 999, 1001, 33]) t.equal(map.inside(outside), -1, `user ${outside} has no id`)
})

t.test('every range is shifted by its own offset; a user outside of all ranges has no id', async (t) => {
  const map = new UserNamespace('0 1000 1\n1 100000 65536\n70000 300000 10\n')
  const shifted: [number, number][] = [
    [1000, 0],
    [100000, 1],
    [100032, 33],
    [165535, 65536],
    [165536, -1],
    [99999, -1],
    [300000, 70000],
    [300009, 70009],
    [300010, -1],
    [0, -1],
  ]
  for (const [outside, inside] of shifted) t.equal(map.inside(outside), inside, `user ${outside} has an id`)
})

t.test('a range that maps to itself does not hide another range', async (t) => {
  const map = new UserNamespace('0 0 1000\n1000 101000 10\n')
  t.equal(map.inside(33), 33)
  t.equal(map.inside(101005), 1005)
  t.equal(map.inside(1005), -1)
})

t.test('a map with one identity range has no user outside of it', async (t) => {
  const map = new UserNamespace('0 0 1000\n')
  t.equal(map.inside(999), 999)
  t.equal(map.inside(1000), -1)
})

t.test('a namespace without a written map has no users', async (t) => {
  t.equal(new UserNamespace('').inside(0), -1)
})

t.test('the map of this process contains its own user', async (t) => {
  const map = UserNamespace.ofProcess()
  t.type(map.inside(0), 'number')
})
