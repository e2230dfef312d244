import t, { type Test } from 'tap'
import { jsonOf } from '../../../src/analysis/suggest/suggestion-json.js'
import { yamlOf } from '../../../src/analysis/suggest/suggestion-yaml.js'
import { formatDestination } from '../../../src/text/parse-address.js'
import { configOf, directoryOf, loadFrom } from '../../config/files.js'
import { type Event, lineOf } from '../../records/block-log/events.js'
import { suggested } from './suggesting.js'

/** Returns a line about a packet without a user. */
const userless = (event: Event) => lineOf({ user: undefined, uid: undefined, ...event })

/** Suggests, lets the configuration read it, and returns the entries as `to protocol/ports users`. */
function entriesFor(t: Test, lines: readonly string[]): string[] {
  const text = yamlOf(suggested(t, lines), 'blocks.json')
  const files = { 'main.yaml': 'mode: enforce\n', 'conf.d/suggested.yaml': `${text}\n` }
  const { allow } = configOf(loadFrom(directoryOf(t, files)))
  return allow.map(({ to, protocol, ports, users }) => {
    const all = ports.map(({ first, last }) => (first === last ? first : `${first}-${last}`))
    return `${to.map(formatDestination).join()} ${protocol}/${all.join()} ${users?.join() ?? 'all'}`
  })
}

const notSuggested = (t: Test, lines: readonly string[]) => [...suggested(t, lines).leftOut.keys()]

t.test(
  'packets of kernel tunnels and file systems are suggested without users, from the first one on',
  async (t) => {
    for (const [event, entry] of [
      [{ to: '198.51.100.2', transport: 'udp', port: 4789 }, '198.51.100.2 udp/4789 all'],
      [{ to: '2001:db8::2', transport: 'udp', port: 51820 }, '2001:db8::2 udp/51820 all'],
      [{ to: '198.51.100.3', transport: 'tcp', port: 2049, fromPort: 830 }, '198.51.100.3 tcp/2049 all'],
      [{ to: '198.51.100.4', transport: '50' }, '198.51.100.4 any/0-65535 all'],
      [{ to: '198.51.100.5', transport: '47' }, '198.51.100.5 any/0-65535 all'],
    ] as const)
      t.same(entriesFor(t, [userless(event)]), [entry])
  },
)

t.test('the text says whose packets these are, and that all users may send there', async (t) => {
  const text = yamlOf(
    suggested(t, [
      userless({ to: '198.51.100.2', transport: 'udp', port: 4789 }),
      userless({ to: '198.51.100.4', transport: '50' }),
    ]),
    'blocks.json',
  ).replaceAll(/\n +# /g, ' ')
  t.match(text, /Packets without a user: the kernel's own \(VXLAN\)\. .*all users may send there/)
  t.match(text, /the kernel's own \(ESP\)\. .*all protocols and ports of the destination/)
  t.match(
    text,
    /- name: kernel-198\.51\.100\.2\n {4}to: \[198\.51\.100\.2\]\n {4}ports: \[4789\]\n {4}protocol: udp(\n|$)/,
  )
  const json = JSON.parse(jsonOf(suggested(t, [userless({ transport: 'udp', port: 8472 })])))
  t.match(json.allow, [{ entry: { protocol: 'udp', ports: [8472] }, ofKernel: ['VXLAN'] }])
  t.notOk('users' in json.allow[0].entry)
})

t.test('at other ports they are suggested when they come again, and no user was seen there', async (t) => {
  const wireguard = { to: '198.51.100.2', transport: 'udp', port: 12345 }
  const again = [0, 30, 90].map((at) => userless({ ...wireguard, at, repeat: at === 0 ? 1 : 5 }))
  t.same(entriesFor(t, again), ['198.51.100.2 udp/12345 all'])
  t.same(notSuggested(t, again.slice(0, 1)), ['no-user'])
  t.same(
    notSuggested(
      t,
      [0, 1, 2].map((at) => userless({ ...wireguard, at })),
    ),
    ['no-user'],
    'all at once',
  )
  t.same(entriesFor(t, [...again, lineOf(wireguard)]), ['198.51.100.2 udp/12345 33'], 'a program of a user')
  t.same(
    entriesFor(
      t,
      [0, 30, 90].map((at) => userless({ at, transport: '112' })),
    ),
    ['203.0.113.7 any/0-65535 all'],
  )
})

t.test('what closed sockets of TCP still send is not suggested, however often it comes', async (t) => {
  t.same(
    notSuggested(
      t,
      [0, 30, 90].map((at) => userless({ at, repeat: 7 })),
    ),
    ['no-user'],
  )
  t.same(
    notSuggested(
      t,
      [0, 30, 90].map((at) => userless({ at, transport: 'icmp' })),
    ),
    ['no-user'],
  )
})

t.test('many peers at once look like a worm without a user, too', async (t) => {
  const peers = Array.from({ length: 40 }, (_, i) =>
    userless({ at: i / 100, to: `203.0.113.${i + 1}`, transport: 'udp', port: 4789 }),
  )
  const suggestion = suggested(t, peers)
  t.same(suggestion.entries, [])
  t.match(
    yamlOf(suggestion, 'x'),
    /NOT SUGGESTED, looks like a scan or a worm: a sender without a\n?#? ?user/,
  )
  t.same(entriesFor(t, peers.slice(0, 3)), ['203.0.113.1,203.0.113.2,203.0.113.3 udp/4789 all'])
})
