/** Tests that a quarantine outlives the service, and that a spoiled file puts nobody into one. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { isCgroup, QuarantineFile } from '../../src/containment/quarantine-file.js'

const noop = () => {}
const LOG = { warn: noop, error: noop }
const NOW = 1_800_000_000_000

t.test('entries are read by the next run, but for those that are over', async (t) => {
  const directory = t.testdir()
  const file = new QuarantineFile(directory, LOG)
  t.same(file.read(NOW), [])
  await file.tick(0)
  t.notOk(existsSync(`${directory}/quarantine.json`), 'without a quarantine there is no file')
  const web = { uid: 33, cgroup: '/system.slice/web.service', until: NOW + 1000 }
  file.keep([web, { uid: 1000, cgroup: undefined, until: NOW + 5000 }])
  await file.tick(1)
  t.same(new QuarantineFile(directory, LOG).read(NOW + 2000), [
    { uid: 1000, cgroup: undefined, until: NOW + 5000 },
  ])
  t.same(new QuarantineFile(directory, LOG).read(NOW)[0], web)
  file.keep([])
  await file.write()
  t.match(readFileSync(`${directory}/quarantine.json`, 'utf8'), /"quarantined": \[\]/)
})

t.test('what is wrong in the file is left out', async (t) => {
  const directory = t.testdir()
  const until = NOW + 1000
  const read = (text: string) => {
    writeFileSync(`${directory}/quarantine.json`, text)
    return new QuarantineFile(directory, LOG).read(NOW)
  }
  for (const text of ['', '{', '[]', 'null', '{"quarantined": 5}', '{"quarantined": [null, 1, "x", []]}'])
    t.same(read(text), [], text)
  for (const wrong of [
    { uid: -1 },
    { uid: 2 ** 32 },
    { uid: '33' },
    { uid: 1.5 },
    { until: 'x' },
    { until: null },
  ])
    t.same(read(JSON.stringify({ quarantined: [{ uid: 33, until, ...wrong }] })), [], JSON.stringify(wrong))
  t.same(read(JSON.stringify({ quarantined: [{ uid: 33, until, cgroup: '/a" timeout 1s }' }] })), [
    { uid: 33, until, cgroup: undefined },
  ])
})

t.test('a cgroup goes into a command of nft only when nothing in its name can end that', async (t) => {
  for (const right of [
    '/system.slice/php8.2-fpm.service',
    '/a.slice/dev-disk\\x2duuid.mount',
    '/user.slice/user@1000.service',
  ])
    t.ok(isCgroup(right), right)
  for (const wrong of [
    '',
    '/',
    'a.service',
    '/a b.service',
    '/a"b',
    '/a;b',
    '/a\nb',
    '/a{b',
    `/${'a'.repeat(256)}`,
    '/a'.repeat(9),
  ])
    t.notOk(isCgroup(wrong), JSON.stringify(wrong))
  t.notOk(isCgroup(undefined))
})
