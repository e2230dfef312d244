/** These tests check that suggest leaves out senders that behave like a worm. */
import t from 'tap'
import { lineOf } from '../../records/block-log/events.js'
import { asked, ENFORCED, names, ROOT, suggested } from './suggesting.js'

t.test(
  'a sender with many blocked destinations in a short time is not suggested with any destination',
  async (t) => {
    const scan = (count: number, seconds: number) =>
      Array.from({ length: count }, (_, i) =>
        lineOf({ at: 100 + (i * seconds) / count, to: `203.0.113.${i + 1}`, port: 22 }),
      )
    const regular = [
      lineOf({ domain: 'api.example.org', to: '198.51.100.7', repeat: 99 }),
      lineOf({ ...ROOT, to: '198.51.100.8' }),
    ]
    const before = suggested(t, [...regular, ...scan(8, 9)])
    t.same([before.entries.length, before.suspects], [3, []], 'nine destinations are below the limit')
    const { entries, suspects } = suggested(t, [...regular, ...scan(10, 9)])
    t.same(names(entries), ['root-198.51.100.8'])
    t.match(suspects, [{ who: { user: 'www-data' }, destinations: 10, window: '10s', blocks: 109 }])
    t.same(suggested(t, [...regular, ...scan(50, 100)]).suspects, [], 'the scan is slower than the window')
    const wide = 'mode: enforce\ncontainment: { destinations: 50, window: 2m }\n'
    t.match(suggested(t, [...regular, ...scan(50, 100)], wide).suspects, [
      { destinations: 51 - 1, window: '2m' },
    ])
  },
)

t.test(
  'repeated blocks that are summarized at one moment are no scan, and neither are the addresses of one name',
  async (t) => {
    const hosts = Array.from({ length: 20 }, (_, i) => `198.51.100.${i + 1}`)
    const slowly = hosts.map((to, i) => lineOf({ at: i * 30, to }))
    const summed = [630, 690, 810, 1050, 1530, 2430].flatMap((at) =>
      hosts.map((to) => lineOf({ at, to, repeat: 5 })),
    )
    t.same(suggested(t, [...slowly, ...summed]).suspects, [])
    const balanced = hosts.map((to, i) => lineOf({ at: i / 10, to, domain: 'cdn.example.org' }))
    t.same(suggested(t, balanced).suspects, [])
    const names = hosts.map((_, i) => asked(`n${i}.example.org`, { at: i / 10 }))
    t.match(suggested(t, names, ENFORCED).suspects, [{ destinations: 20 }], 'many names are a scan')
  },
)

t.test('blocks of an unknown unit are not suggested when their user scans from a known unit', async (t) => {
  const scan = Array.from({ length: 20 }, (_, i) =>
    lineOf({ at: i / 10, to: `203.0.113.${i + 1}`, port: 22, unit: i < 17 ? 'web.service' : undefined }),
  )
  const others = [
    lineOf({ ...ROOT, to: '198.51.100.8' }),
    lineOf({ to: '198.51.100.9', unit: 'cron.service' }),
  ]
  const { entries, suspects } = suggested(t, [...scan, ...others])
  t.same(names(entries).sort(), ['cron-198.51.100.9', 'root-198.51.100.8'])
  t.match(suspects, [
    { who: { unit: 'web.service' }, blocks: 17 },
    { who: { unit: undefined }, blocks: 3 },
  ])
})

t.test(
  'a destination that is new in a known unit is not suggested when its user scans from an unknown unit',
  async (t) => {
    const scan = Array.from({ length: 60 }, (_, i) =>
      lineOf({
        at: 100 + i / 10,
        to: `203.0.113.${i + 1}`,
        port: 22,
        unit: i < 9 ? 'web.service' : undefined,
      }),
    )
    const others = [
      lineOf({ ...ROOT, at: 101, to: '198.51.100.8' }),
      lineOf({ at: 50, to: '198.51.100.9', unit: 'cron.service' }),
      lineOf({ at: 103, to: '198.51.100.9', unit: 'cron.service' }),
    ]
    const { entries, suspects } = suggested(t, [...others, ...scan])
    t.same(names(entries).sort(), ['cron-198.51.100.9', 'root-198.51.100.8'])
    t.match(suspects, [
      { who: { unit: undefined }, blocks: 51 },
      { who: { unit: 'web.service' }, blocks: 9 },
    ])
  },
)

t.test('a worm that uses one name for all the addresses that it scans is detected', async (t) => {
  const scan = (count: number) =>
    Array.from({ length: count }, (_, i) =>
      lineOf({ at: i / 100, to: `198.18.${i >> 8}.${i & 255}`, port: 22, domain: 'cdn.example.net' }),
    )
  t.same(suggested(t, scan(40)).suspects, [], 'one name may have many servers')
  const { entries, suspects } = suggested(t, [...scan(200), ...scan(200)])
  t.same(entries, [])
  t.match(suspects, [{ who: { user: 'www-data' }, destinations: 1 + 200 - 32 }])
})

t.test('a worm that uses a few names of its own is detected', async (t) => {
  const scan = Array.from({ length: 128 }, (_, i) =>
    lineOf({ at: i / 100, to: `198.18.0.${i}`, port: 22, domain: `n${i >> 5}.example.net` }),
  )
  const { entries, suspects } = suggested(t, scan)
  t.same(entries, [])
  t.match(suspects, [{ who: { user: 'www-data' }, destinations: 4 + 128 - 4 * 8 - 24 }])
})

t.test('a worm that floods its own list leaves room for the blocks of other senders', async (t) => {
  const flood = Array.from({ length: 6000 }, (_, i) =>
    lineOf({ at: i * 2, to: `203.0.${i >> 8}.${i & 255}`, port: 22 }),
  )
  const { entries, leftOut } = suggested(
    t,
    [...flood, lineOf({ ...ROOT, to: '198.51.100.8' })],
    'mode: enforce\n',
  )
  t.ok(names(entries).includes('root-198.51.100.8'))
  t.equal(leftOut.get('crowd')?.blocks, 6000 - 2048)
  const sum = entries.reduce((blocks, entry) => blocks + entry.blocks, 0)
  t.equal(sum + leftOut.get('crowd')!.blocks, 6001, 'no block is lost from the sum')
})
