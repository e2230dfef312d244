import t from 'tap'
import {
  capabilitiesOf,
  capabilitiesOfUnit,
  inodeOfListener,
  inodeOfPort,
  isChronySynchronised,
  parseIpRules,
  parseProperties,
  parseQueues,
  statusField,
} from '../../../src/commands/doctor/proc.js'

t.test('each queue is read with the netlink port of the program that serves it', async (t) => {
  const text =
    '  100   4242     0 2   512     0     0        7  1\n  101 -4099     3 2   512     0     0        9  1\n'
  t.same(parseQueues(text), [
    { number: 100, port: 4242 },
    { number: 101, port: -4099 },
  ])
  t.same(parseQueues(''), [])
})

const NETLINK = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
00000000cc00e331 0   4242       00000000 0        0        0     2        0        111
00000000562933b1 12  4242       00000000 0        0        0     2        0        222
00000000cf2c6ebb 12  4294963197 00000000 0        0        0     2        0        333
`

t.test(
  'a netlink port leads to the inode of its netfilter socket, and of no other netlink socket',
  async (t) => {
    t.equal(inodeOfPort(NETLINK, 4242), 222)
    t.equal(inodeOfPort(NETLINK, 1), undefined)
    t.equal(inodeOfPort('', 4242), undefined)
  },
)

const UNIX = `Num       RefCount Protocol Flags    Type St Inode Path
00000000b6b24b13: 00000003 00000000 00000000 0001 03 11111 /run/a/control.sock
00000000a6b24b13: 00000002 00000000 00010000 0001 01 22222 /run/a/control.sock
00000000c6b24b13: 00000002 00000000 00010000 0001 01 33333 /run/with a space.sock
00000000d6b24b13: 00000002 00000000 00000000 0002 01 44444
`

t.test('the socket that listens at a path is found, not one that is connected there', async (t) => {
  t.equal(inodeOfListener(UNIX, '/run/a/control.sock'), 22222)
  t.equal(inodeOfListener(UNIX, '/run/with a space.sock'), 33333)
  t.equal(inodeOfListener(UNIX, '/run/b.sock'), undefined)
})

t.test('the effective capabilities of a process are named', async (t) => {
  const status =
    'Name:\tnode\nUid:\t994\t994\t994\t994\nCapEff:\t0000000000003004\nCapBnd:\t000001ffffffffff\n'
  t.same([...capabilitiesOf(status)], ['CAP_DAC_READ_SEARCH', 'CAP_NET_ADMIN', 'CAP_NET_RAW'])
  t.same([...capabilitiesOf('Name:\tnode\n')], [])
  t.equal(statusField(status, 'Uid'), '994\t994\t994\t994')
  t.equal(statusField(status, 'Gid'), undefined)
})

t.test('a unit has its ambient capabilities, or as root those of its bounding set', async (t) => {
  const unit = (text: string) => [...capabilitiesOfUnit(parseProperties(text))]
  const bounds = 'CapabilityBoundingSet=cap_net_admin cap_net_raw cap_sys_ptrace\n'
  t.same(unit(`User=checkvalve\n${bounds}AmbientCapabilities=cap_net_admin cap_chown\n`), ['CAP_NET_ADMIN'])
  for (const user of ['User=', 'User=root', 'User=0', ''])
    t.same(
      unit(`${user}\n${bounds}AmbientCapabilities=\n`),
      ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_SYS_PTRACE'],
      user,
    )
  t.same(unit('User=checkvalve\n'), [])
  t.same([...parseProperties('Id=a=b\n\nnonsense\n')], [['Id', 'a=b']])
})

t.test('routing rules are read with the bits that they compare', async (t) => {
  const text = JSON.stringify([
    { priority: 0, src: 'all', table: 'local' },
    { priority: 32764, src: 'all', fwmark: '0x5', table: '100' },
    { priority: 32765, src: 'all', fwmark: '0x1', fwmask: '0xff', table: '100' },
  ])
  t.same(parseIpRules(text), [
    { priority: 32764, mark: '0x5', mask: 0xffffffff },
    { priority: 32765, mark: '0x1', mask: 0xff },
  ])
  t.same(parseIpRules(''), [])
})

t.test(
  "the state of the clock is read from chrony's output, and a missing field is not guessed",
  async (t) => {
    const line = (leap: string) =>
      `C6336401,198.51.100.1,3,1764130000.1,0.000001,-0.000002,0.00003,-1.2,0.003,0.04,0.01,0.001,64.2,${leap}\n`
    t.equal(isChronySynchronised(line('Normal')), true)
    t.equal(isChronySynchronised(line('Insert second')), true)
    t.equal(isChronySynchronised(line('Not synchronised')), false)
    t.equal(isChronySynchronised('506 Cannot talk to daemon\n'), undefined)
    t.equal(isChronySynchronised(''), undefined)
  },
)
