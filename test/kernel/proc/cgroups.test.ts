import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Cgroups } from '../../../src/kernel/proc/cgroups.js'

/** One walk through the tree has no time for this number of cgroups. */
const MANY = 8000

/** Makes directories in the place of cgroups: their numbers are inodes, too. */
function tree(t: Test, ...paths: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-cgroups-'))
  // This does not use rmSync, which fails on a path that is too long.
  t.teardown(() => execFileSync('rm', ['-r', folder]))
  const add = (path: string) => {
    mkdirSync(join(folder, path), { recursive: true })
    return statSync(join(folder, path)).ino
  }
  for (const path of paths) add(path)
  const mounts = `24 23 0:22 / /sys rw - sysfs sysfs rw\n30 24 0:26 / ${folder} rw shared:4 - cgroup2 cgroup2 rw\n`
  const cgroups = new Cgroups(mounts)
  t.teardown(() => cgroups.close())
  return { folder, add, cgroups }
}

/** Makes each look at the CPU time take a millisecond of it: a part of a walk gets to ten cgroups. */
function slow(t: Test): void {
  let microseconds = 0
  const cpuUsage = () => {
    microseconds += 1000
    return { user: microseconds, system: 0 }
  }
  t.intercept(process, 'cpuUsage', { value: cpuUsage })
}

t.test('a cgroup is found by its inode number, with its unit', async (t) => {
  const { folder, add, cgroups } = tree(t, '/user.slice')
  const number = add('/system.slice/nginx.service')
  const found = cgroups.find(number, performance.now())
  t.match(found, { path: '/system.slice/nginx.service', place: { unit: 'nginx.service' } })
  t.equal(cgroups.folderOf(found!), `${folder}/system.slice/nginx.service`)
  t.equal(cgroups.find(statSync(folder).ino, performance.now())?.path, '/')
})

t.test(
  'a cgroup that was made later is found by a later walk; walks through the tree keep a minimum interval',
  async (t) => {
    const { add, cgroups } = tree(t, '/system.slice/nginx.service')
    t.equal(cgroups.find(1, 0), undefined, 'no cgroup has that number')
    const number = add('/system.slice/new.service')
    t.equal(cgroups.find(number, 0), undefined, 'no other walk starts at once')
    t.match(cgroups.find(number, 60_000), { place: { unit: 'new.service' } })
  },
)

t.test('a cgroup that was found stays known after its removal', async (t) => {
  const { folder, add, cgroups } = tree(t)
  const number = add('/system.slice/short.service')
  cgroups.find(number, 0)
  rmSync(join(folder, 'system.slice'), { recursive: true })
  t.match(cgroups.find(number, 60_000), { place: { unit: 'short.service' } })
})

t.test('cgroups of other units are found, however many cgroups one service makes', async (t) => {
  const { folder, add, cgroups } = tree(t, '/system.slice/many.service')
  const numbers = ['a.slice/a.slice/a@1.service', 'b.service', 'c.slice/c.service'].map((unit) =>
    add(`/system.slice/${unit}`),
  )
  const below = ['b.service', 'c.slice/c.service'].map((unit) => add(`/system.slice/${unit}/worker`))
  for (let i = 0; i < MANY; i++) mkdirSync(`${folder}/system.slice/many.service/${i}`)
  let now = 0
  const found = (number: number) => {
    const end = now + 1000 * 60_000
    while (now < end && cgroups.find(number, now) === undefined) now += 60_000
    return now < end
  }
  for (const number of numbers) t.ok(found(number))
  for (const number of below) t.ok(found(number), 'units take turns')
  t.ok(found(add('/system.slice/new.service/worker')), 'a new unit does not wait for the end of a large one')
})

t.test(
  'on a host that is too slow for a whole walk, the next one goes on where the last one ended',
  async (t) => {
    const { add, cgroups } = tree(t)
    const numbers = Array.from({ length: 300 }, (_, i) => add(`/system.slice/unit${i}.service`))
    slow(t)
    const found = () => numbers.filter((number) => cgroups.find(number, 0)).length
    const counts = [60_000, 120_000, 180_000].map((now) => {
      cgroups.find(-1, now)
      return found()
    })
    t.ok(counts[0]! > 0 && counts[0]! < 20, `${counts}`)
    t.ok(counts[1]! > counts[0]! && counts[2]! > counts[1]!, `${counts}`)
  },
)

t.test('the first walk takes its time, and a slow host gets longer ones later', async (t) => {
  const { add, cgroups } = tree(t)
  const numbers = Array.from({ length: 30 }, (_, i) => add(`/system.slice/unit${i}.service`))
  slow(t)
  cgroups.warmUp()
  t.ok(numbers.every((number) => cgroups.find(number, 0)))
  const later = Array.from({ length: 30 }, (_, i) => add(`/system.slice/later${i}.service`))
  cgroups.find(-1, 60_000)
  t.equal(later.filter((number) => cgroups.find(number, 60_000)).length, 30)
})

t.test('a path that is longer than PATH_MAX does not end a walk through the tree', async (t) => {
  const { folder, add, cgroups } = tree(t, '/user.slice/user@33.service')
  const deeper = 'for i in $(seq 30); do mkdir "$1" && cd -P "$1"; done'
  execFileSync('sh', ['-c', deeper, 'deeper', 'd'.repeat(200)], {
    cwd: `${folder}/user.slice/user@33.service`,
  })
  const number = add('/user.slice/web.service/worker')
  for (const now of [0, 60_000]) t.equal(cgroups.find(-1, now), undefined)
  t.match(cgroups.find(number, 60_000), { place: { unit: 'web.service' } })
  add('/user.slice/new.service')
  t.equal(cgroups.find(-1, 60_000), undefined)
  t.equal(
    cgroups.find(statSync(`${folder}/user.slice/new.service`).ino, 60_000),
    undefined,
    'walks keep a minimum interval',
  )
})

t.test('a host without the unified hierarchy has no cgroups, which is no error', async (t) => {
  const cgroups = new Cgroups('24 23 0:22 / /sys rw - sysfs sysfs rw\n')
  t.equal(cgroups.mount, undefined)
  t.equal(cgroups.find(1, 0), undefined)
  t.equal(cgroups.folderOf(cgroups.at('/system.slice/a.service')), undefined)
})

/** Waits until the events of inotify have come in. */
const until = async (isDone: () => boolean) => {
  for (let n = 0; n < 500 && !isDone(); n++) await setTimeout(10)
}

t.test(
  'a unit is known when it is made, before any walk, and after its end; in a new slice, too',
  async (t) => {
    const { folder, add, cgroups } = tree(t, '/system.slice')
    cgroups.warmUp()
    // No walk may start again for a long time.
    cgroups.find(-1, 0)
    const numbers = [
      add('/system.slice/new.service'),
      add('/top.service'),
      add('/user.slice/user-33.slice/session-1.scope'),
    ]
    const late = () => numbers.map((number) => cgroups.find(number, 0)?.place.unit)
    await until(() => late().every((unit) => unit !== undefined))
    t.same(late(), ['new.service', 'top.service', 'session-1.scope'])
    const later = add('/user.slice/user-33.slice/session-2.scope')
    await until(() => cgroups.find(later, 0) !== undefined)
    // The number of a removed directory would be used again here, unlike that of a cgroup.
    renameSync(join(folder, 'user.slice'), join(folder, 'gone'))
    t.match(
      cgroups.find(later, 0),
      { place: { unit: 'session-2.scope' } },
      'a unit that has ended stays known',
    )
    const again = add('/user.slice/user-33.slice/session-3.scope')
    await until(() => cgroups.find(again, 0) !== undefined)
    t.match(
      cgroups.find(again, 0),
      { place: { unit: 'session-3.scope' } },
      'in a slice that is made again, too',
    )
  },
)

t.test('cgroups that a unit makes itself are not followed: there may be any number', async (t) => {
  const { add, cgroups } = tree(t, '/system.slice/a.service')
  cgroups.warmUp()
  cgroups.find(-1, 0)
  const below = add('/system.slice/a.service/worker')
  const beside = add('/system.slice/b.service')
  await until(() => cgroups.find(beside, 0) !== undefined)
  t.type(cgroups.find(below, 0), 'undefined')
})
