import t from 'tap'
import { parseSave } from '../../../src/commands/doctor/iptables-save.js'
import { changeOfRule, changeOfStatement } from '../../../src/commands/doctor/mark-bits.js'
import { parseNft } from '../../../src/commands/doctor/nft-json.js'
import { reached, together } from '../../../src/commands/doctor/rules-of-others.js'

const META = { meta: { key: 'mark' } }
const CT = { ct: { key: 'mark' } }
const ALL = 0xffffffff
const set = (key: unknown, value: unknown) => changeOfStatement({ mangle: { key, value } })

t.test('the bits that a rule keeps are distinguished from the bits that it changes', async (t) => {
  const table: [unknown, number, number][] = [
    [1, 1, 0xfffffffe],
    [META, 0, 0],
    [{ '|': [META, 0x10] }, 0x10, 0],
    [{ '&': [META, 0xffffff00] }, 0, 0xff],
    [{ '^': [META, 0x10] }, 0x10, 0x10],
    [{ '|': [{ '&': [META, 0xff00ffff] }, 0x00010000] }, 0x00010000, 0x00fe0000],
    [{ '^': [{ '|': [META, 0x30] }, 0x10] }, 0x20, 0x10],
    [{ '&': [CT, 0xff] }, 0xff, ALL],
    [CT, ALL, ALL],
    [{ map: { key: CT, data: '@marks' } }, ALL, ALL],
    [{ '+': [META, 1] }, ALL, ALL],
    [{ '|': [META, CT] }, ALL, ALL],
    ['@set', ALL, ALL],
    [{}, ALL, ALL],
  ]
  for (const [value, ones, zeros] of table)
    t.same(set(META, value), { kind: 'packet', ones, zeros }, JSON.stringify(value))
})

t.test(
  'a connection mark is distinguished from a packet mark; other keys and statements are ignored',
  async (t) => {
    t.same(set(CT, { '|': [CT, 0x80] }), { kind: 'connection', ones: 0x80, zeros: 0 })
    t.same(set(CT, META), { kind: 'connection', ones: ALL, zeros: ALL })
    t.equal(set({ meta: { key: 'priority' } }, 1), undefined)
    t.equal(set({ payload: { protocol: 'ip', field: 'dscp' } }, 1), undefined)
    for (const other of [{ accept: null }, null, 'accept', { mangle: null }, { mangle: { key: 7 } }])
      t.equal(changeOfStatement(other), undefined, JSON.stringify(other))
  },
)

t.test('a mark that iptables sets is read as iptables defines it', async (t) => {
  const table: [string, ReturnType<typeof changeOfRule>][] = [
    ['-A OUTPUT -j MARK --set-xmark 0x10/0xff', { kind: 'packet', ones: 0x10, zeros: 0xef }],
    ['-A OUTPUT -j MARK --set-xmark 0x1/0xffffffff', { kind: 'packet', ones: 1, zeros: 0xfffffffe }],
    ['-A OUTPUT -j MARK --set-xmark 0x0/0xf', { kind: 'packet', ones: 0, zeros: 0xf }],
    ['-A OUTPUT -j MARK --set-xmark 0x10/0x0', { kind: 'packet', ones: 0x10, zeros: 0x10 }],
    ['-A OUTPUT -j MARK --set-mark 4', { kind: 'packet', ones: 4, zeros: 0xfffffffb }],
    ['-A OUTPUT -j CONNMARK --set-xmark 0x80/0x80', { kind: 'connection', ones: 0x80, zeros: 0 }],
    [
      '-A OUTPUT -j CONNMARK --save-mark --nfmask 0xf --ctmask 0xff',
      { kind: 'connection', ones: 0xff, zeros: 0xff },
    ],
    [
      '-A OUTPUT -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff',
      { kind: 'packet', ones: 0xff, zeros: 0xff },
    ],
    ['-A OUTPUT -j CONNMARK --save-mark', { kind: 'connection', ones: ALL, zeros: ALL }],
    ['-A OUTPUT -m mark --mark 0x1 -j ACCEPT', undefined],
    ['-A OUTPUT -j MARKED', undefined],
  ]
  for (const [rule, change] of table) t.same(changeOfRule(rule), change, rule)
})

const LISTED = JSON.stringify({
  nftables: [
    { metainfo: { version: '1.0.6', json_schema_version: 1 } },
    { table: { family: 'inet', name: 'other', handle: 1 } },
    {
      chain: {
        family: 'inet',
        table: 'other',
        name: 'out',
        handle: 1,
        type: 'filter',
        hook: 'output',
        prio: -150,
        policy: 'accept',
      },
    },
    { chain: { family: 'inet', table: 'other', name: 'sub', handle: 2 } },
    { chain: { family: 'inet', table: 'other', name: 'lost', handle: 3 } },
    {
      rule: { family: 'inet', table: 'other', chain: 'out', handle: 4, expr: [{ jump: { target: 'sub' } }] },
    },
    {
      rule: {
        family: 'inet',
        table: 'other',
        chain: 'sub',
        handle: 5,
        expr: [{ counter: { packets: 0, bytes: 0 } }, { mangle: { key: META, value: 1 } }],
      },
    },
    {
      rule: {
        family: 'inet',
        table: 'other',
        chain: 'sub',
        handle: 6,
        expr: [{ queue: { num: 5, flags: 'bypass' } }],
      },
    },
    {
      rule: {
        family: 'inet',
        table: 'other',
        chain: 'sub',
        handle: 7,
        expr: [{ queue: { num: { range: [7, 9] } } }],
      },
    },
    { rule: { family: 'inet', table: 'other', chain: 'sub', handle: 8, expr: [{ queue: null }] } },
    {
      rule: {
        family: 'inet',
        table: 'other',
        chain: 'sub',
        handle: 9,
        expr: [{ queue: { num: { symhash: { mod: 2 } } } }],
      },
    },
    { rule: { family: 'inet', table: 'other', chain: 'lost', handle: 10, expr: [{ notrack: null }] } },
    {
      rule: {
        family: 'inet',
        table: 'other',
        chain: 'out',
        handle: 11,
        expr: [{ vmap: { key: META, data: { set: [[1, { goto: { target: 'lost' } }]] } } }],
      },
    },
  ],
})

t.test('tables, base chains, rules and their jumps are read from the listing of nft', async (t) => {
  const { tables, chains, rules } = parseNft(LISTED)
  t.same(tables, ['inet other'])
  t.match(chains, [
    { table: 'inet other', name: 'out', hook: 'output', priority: -150, policy: 'accept' },
    { name: 'sub', hook: undefined },
    { name: 'lost' },
  ])
  t.same(
    rules.map(({ queue }) => queue),
    [undefined, undefined, 5, 7, 0, -1, undefined, undefined],
  )
  t.same(rules.map(({ isNotrack }) => isNotrack).lastIndexOf(true), 6)
  t.same(rules.map(({ leadsTo }) => leadsTo.join()).filter(Boolean), ['sub', 'lost'])
})

t.test('an empty or unknown listing contains no rules; a listing that is not JSON is refused', async (t) => {
  for (const text of ['{"nftables": []}', '{}', '{"nftables": 7}', '{"nftables": [null, 7, {"rule": null}]}'])
    t.same(parseNft(text), { tables: [], chains: [], rules: [] }, text)
  t.throws(() => parseNft('table inet'), SyntaxError)
})

t.test('a rule counts when packets reach it, through any number of chains', async (t) => {
  const rules = reached(parseNft(LISTED))
  t.equal(rules.length, 8)
  t.ok(rules.every(({ from }) => from.name === 'out' && from.hook === 'output'))
  const alone = parseNft(LISTED)
  t.same(
    reached({ ...alone, chains: alone.chains.filter(({ hook }) => hook === undefined) }),
    [],
    'no base chain leads to the rule',
  )
})

t.test('chains that jump to each other are followed only once', async (t) => {
  const rule = (chain: string, target: string) => ({
    table: 'ip x',
    chain,
    isNotrack: false,
    leadsTo: [target],
  })
  const chains = [{ table: 'ip x', name: 'a', hook: 'output', priority: 0 }]
  t.equal(reached({ chains, rules: [rule('a', 'b'), rule('b', 'a')] }).length, 2)
})

const SAVED = `# Generated by iptables-save v1.8.9 (nf_tables) on Thu Nov 26 04:45:19 2026
*mangle
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
-A OUTPUT -p tcp -j mine
-A mine -j MARK --set-xmark 0x10/0xff
COMMIT
*raw
:OUTPUT ACCEPT [0:0]
-A OUTPUT -p udp -j CT --notrack
-A OUTPUT -p tcp -j NOTRACK
COMMIT
*filter
:OUTPUT DROP [3:180]
-A OUTPUT -p tcp -m tcp --dport 1 -j NFQUEUE --queue-num 7
-A OUTPUT -j NFQUEUE --queue-balance 8:9
-A OUTPUT -j NFQUEUE
COMMIT
`

t.test('the output of iptables-save is read in the same way', async (t) => {
  const saved = parseSave(SAVED, 'ip')
  t.match(
    saved.chains.find(({ table }) => table === 'ip filter'),
    { name: 'OUTPUT', hook: 'output', priority: 0, policy: 'drop' },
  )
  t.same(
    saved.rules.flatMap(({ queue }) => queue ?? []),
    [7, 8, 0],
  )
  t.equal(saved.rules.filter(({ isNotrack }) => isNotrack).length, 2)
  const mark = reached(saved).find(({ rule }) => rule.change !== undefined)
  t.match(mark, {
    from: { table: 'ip mangle', hook: 'output', priority: -150 },
    rule: { chain: 'mine', change: { ones: 0x10 } },
  })
  t.equal(together(saved, parseSave(SAVED, 'ip6')).rules.length, 2 * saved.rules.length)
})
