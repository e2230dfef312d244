import t from 'tap'
import { isIn, isUnitName, ownerOf, unitPathOf } from '../../../src/core/packet/cgroup-path.js'

const ID = '0123456789abcdef'.repeat(4)

t.test(
  'the unit is the first part of the path that is not a slice; the parts below it do not matter',
  async (t) => {
    const units: [string, string | undefined][] = [
      ['/system.slice/nginx.service', 'nginx.service'],
      ['/system.slice/system-getty.slice/getty@tty1.service', 'getty@tty1.service'],
      ['/user.slice/user-1000.slice/session-3.scope', 'session-3.scope'],
      ['/user.slice/user-1000.slice/user@1000.service/app.slice/web.service', 'user@1000.service'],
      ['/init.scope', 'init.scope'],
      ['/system.slice/_memory.service', 'memory.service'],
      ['/system.slice/docker.service/nginx.service', 'docker.service'],
      ['/', undefined],
      ['', undefined],
      ['/system.slice', undefined],
      ['/by-hand', undefined],
      ['/by-hand/nginx.service', undefined],
    ]
    for (const [path, unit] of units) t.equal(ownerOf(path).unit, unit, path)
  },
)

t.test(
  'the slices of a process are those around its unit, not those that a user made below it',
  async (t) => {
    t.same(ownerOf('/user.slice/user-7.slice/user@7.service/app.slice/a.service').slices, [
      'user.slice',
      'user-7.slice',
    ])
    t.same(ownerOf('/system.slice').slices, ['system.slice'])
  },
)

t.test('the container id is read from the cgroup name, in the form of each runtime', async (t) => {
  const paths: [string, string | undefined][] = [
    [`/system.slice/docker-${ID}.scope`, ID],
    [`/docker/${ID}`, ID],
    [`/machine.slice/libpod-${ID}.scope/container`, ID],
    [`/kubepods.slice/kubepods-pod1.slice/cri-containerd-${ID}.scope`, ID],
    [`/kubepods/burstable/pod1/cri-containerd:${ID}`, ID],
    ['/lxc.payload.web/system.slice/nginx.service', 'web'],
    ['/system.slice/nginx.service', undefined],
    [`/system.slice/${ID}0.scope`, undefined],
    ['/machine.slice', undefined],
  ]
  for (const [path, container] of paths) t.equal(ownerOf(path).container, container, path)
})

t.test('a process is in its unit and in the slices around it, and in no other unit', async (t) => {
  const place = ownerOf('/system.slice/web.slice/nginx.service/other.service')
  for (const unit of ['nginx.service', 'web.slice', 'system.slice'])
    t.ok(isIn(place, ['none.service', unit]), unit)
  for (const unit of ['other.service', 'nginx', 'user.slice', '']) t.notOk(isIn(place, [unit]), unit)
  t.notOk(isIn(ownerOf('/'), ['nginx.service']))
})

t.test('the name of a unit ends with its type, and has the characters of systemd.unit(5)', async (t) => {
  const types = ['service', 'scope', 'slice', 'socket', 'mount', 'swap']
  const names = [
    ...types.map((type) => `a.${type}`),
    'user@1000.service',
    'dev-disk\\x2d1.swap',
    `${'a'.repeat(240)}.slice`,
  ]
  for (const name of names) t.ok(isUnitName(name), name)
  for (const name of [
    'nginx',
    '.service',
    'a.timer',
    'a.service\n',
    'a b.service',
    'a/b.service',
    `${'a'.repeat(241)}.slice`,
  ])
    t.notOk(isUnitName(name), name)
})

t.test('the cgroup of a unit is the part of a path that ends with the unit', async (t) => {
  const pathOf = (path: string) => unitPathOf(path, ownerOf(path))
  t.equal(pathOf('/system.slice/web.service'), '/system.slice/web.service')
  t.equal(pathOf('/system.slice/web.service/worker/1'), '/system.slice/web.service')
  t.equal(pathOf('/a.slice/a-b.slice/_memory.service/x'), '/a.slice/a-b.slice/_memory.service')
  t.equal(pathOf('/by-hand/worker'), undefined)
})
