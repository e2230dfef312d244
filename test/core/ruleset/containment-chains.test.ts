/** Tests the text of the quarantine; test/netns/containment.test.ts proves what the kernel does with it. */
import t from 'tap'
import { contained, containmentSets, cutApproved } from '../../../src/core/ruleset/containment-chains.js'
import {
  type Quarantined,
  renderQuarantinedUnits,
  renderQuarantinedUsers,
} from '../../../src/core/ruleset/ruleset.js'
import { OPTIONS } from '../policies.js'
import { policy } from '../rules.js'

const NOW = 1_800_000_000_000
const UNIT = '/system.slice/web.service'
const quarantined: Quarantined[] = [
  { uid: 33, cgroup: UNIT, until: NOW + 60_000 },
  { uid: 33, cgroup: '/a.slice/b.slice/other.service', until: NOW + 90_500 },
  { uid: 1000, cgroup: undefined, until: NOW - 5 },
]

t.test('a user stays until its last quarantine is over; the sets are emptied first', async (t) => {
  t.same(renderQuarantinedUsers(quarantined, NOW).split('\n'), [
    'flush set inet checkvalve quarantined_users',
    'add element inet checkvalve quarantined_users { 33 timeout 91s, 1000 timeout 1s }',
  ])
  t.equal(renderQuarantinedUsers([], NOW), 'flush set inet checkvalve quarantined_users')
})

t.test(
  'a unit goes into the set of its depth, by the path that nft knows; one that is gone is left out',
  async (t) => {
    const pathOf = (cgroup: string) => (cgroup === UNIT ? `unified${cgroup}` : undefined)
    t.same(renderQuarantinedUnits(quarantined, pathOf, NOW).split('\n'), [
      'flush set inet checkvalve quarantined_units1',
      'flush set inet checkvalve quarantined_units2',
      'add element inet checkvalve quarantined_units2 { "unified/system.slice/web.service" timeout 60s }',
      'flush set inet checkvalve quarantined_units3',
      'flush set inet checkvalve quarantined_units4',
    ])
  },
)

t.test('where the kernel cannot compare cgroups, users alone are refused', async (t) => {
  const options = { ...OPTIONS, matchesCgroups: false }
  t.notMatch(contained(options).join('\n'), /cgroup/)
  t.notMatch(containmentSets(options, policy([])).join('\n'), /cgroup/)
  t.match(containmentSets(OPTIONS, { ...policy([]), sparedUsers: [] }), [
    /./,
    /./,
    /./,
    /./,
    /./,
    'set spared_users { type uid; }',
  ])
})

t.test('approved connections are cut where the operator wants it, and in mode enforce', async (t) => {
  const all = { ...OPTIONS, contain: 'all' } as const
  const enforce = { ...policy([]), mode: 'enforce' } as const
  t.same(cutApproved(OPTIONS, enforce, 'approved'), [])
  t.same(cutApproved(all, { ...enforce, mode: 'observe' }, 'approved'), [])
  t.match(cutApproved(all, enforce, 'approved'), [
    'approved meta skuid @quarantined_users goto quarantine',
    /^approved socket cgroupv2 level 1 @quarantined_units1 meta skuid != @spared_users goto quarantine$/,
  ])
})
