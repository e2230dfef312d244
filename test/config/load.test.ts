import t from 'tap'
import { load, showConfig } from '../../src/config/config.js'
import { formatAddress } from '../../src/core/packet/address-text.js'
import { configOf, directoryOf, linesOf, loadFrom, loadText, lookup, nameOf } from './files.js'

const EXAMPLE = `
mode: enforce
block: reject
fallback: static
onStop: remove
firewall: { queue: auto, mark: { mask: 0x3f000000 } }
queue: { first: 100, count: 1, maxLength: 16384 }
sessions: { capacity: 1000000, tcpTimeout: 5d, udpTimeout: 10m, services: auto, callbacks: [] }
infrastructure: { dns: auto, ntp: auto, dhcp: true }
dns: { holdAnswers: true, holdTime: 100ms, resolve: true, grace: 5m, enforceNames: false, searchDomains: true, reverse: false }
mirrors: { discover: true, root: /, hosts: [mirror.example.org], ports: [80, 443], users: [root, _apt] }
allow:
  - { name: payments, to: [api.example.com, 203.0.113.0/24], ports: [443], protocol: tcp, users: [www-data] }
containment: { destinations: 10, window: 10s, action: alert, duration: 15m }
log: { destination: /var/log/checkvalve/blocks.json, level: info }
metrics: { listen: "127.0.0.1:17671", path: /metrics }
control: { socket: /run/checkvalve/control.sock }
state: { directory: /var/lib/checkvalve }
canary: { target: "192.0.2.1:9", interval: 30s }
`

const port = (number: number) => ({ first: number, last: number })

t.test('every value of the documented example is read', async (t) => {
  const config = configOf(loadText(t, EXAMPLE))
  t.match(config, {
    mode: 'enforce',
    firewall: { queue: 'auto', mark: { mask: 0x3f000000 } },
    sessions: { capacity: 1_000_000, tcpTimeout: 432_000, udpTimeout: 600, services: 'auto' },
    metrics: { listen: { host: '127.0.0.1', port: 17671 }, path: '/metrics', webConfig: 'none' },
    canary: { target: { host: '192.0.2.1', port: 9, family: 4 }, interval: 30 },
    containment: {
      destinations: 10,
      window: 10,
      action: 'alert',
      duration: 900,
      contain: 'new',
      users: [],
    },
  })
  t.match(config.mirrors.hosts, [{ kind: 'name', name: 'mirror.example.org', origin: { line: Number } }])
  t.equal(config.mirrors.hosts.length, 1)
  t.same(config.mirrors.ports, [port(80), port(443)])
  t.same(config.mirrors.users, [0, 42])
  const [rule] = config.allow
  t.match(rule, { name: 'payments', protocol: 'tcp', users: [33], units: undefined, expires: undefined })
  t.match(rule?.origin, { file: /main\.yaml$/, line: 13 })
  t.same(rule?.ports, [port(443)])
  const network = { family: 4, words: Uint32Array.of(0xcb007100, 0, 0, 0), length: 24 }
  t.same(rule?.to, [
    { kind: 'name', name: 'api.example.com' },
    { kind: 'prefix', prefix: network },
  ])
})

t.test('a setting that is not written has its default, and a fresh host only observes', async (t) => {
  const config = configOf(loadText(t, 'log: { level: warn }'))
  const { allow, mirrors, ...rest } = configOf(loadText(t, EXAMPLE))
  t.match(config, { ...rest, notes: [], mode: 'observe', log: { level: 'warn' } })
  t.same(config.allow, [])
  t.same(config.mirrors, { ...mirrors, hosts: [] })
  t.equal(allow.length, 1)
})

t.test('default users that the host lacks are left out, without a problem', async (t) => {
  const users = (name: string) => (name === 'root' ? 0 : undefined)
  t.same(configOf(loadText(t, 'mode: observe', { users })).mirrors.users, [0])
})

t.test('the shipped file is valid, and changes no default', async (t) => {
  const path = 'config/checkvalve.yaml'
  const shipped = configOf(load({ path, environment: {}, set: [], users: lookup }))
  t.same(shipped, configOf(loadText(t, 'mode: observe')))
})

t.test('the output of show-config can be loaded again, and gives the same configuration', async (t) => {
  const rich = `
dns: { holdTime: 1.5s, resolve: false, grace: 0s, enforceNames: true, searchDomains: false, reverse: true }
sessions:
  tcpTimeout: 90061.5
  udpTimeout: 1500ms
  services: [tcp/80, { port: 443, protocol: udp }]
  callbacks:
    - { service: 21, protocol: tcp, ports: 1024-65535 }
    - { service: udp/69, protocol: udp, ports: ["1024-65535", 900], perSession: 10 }
infrastructure: { dns: [192.0.2.53, "2001:db8::53"], ntp: [ntp.example.org], dhcp: false }
metrics: { listen: "[::1]:9100" }
canary: { target: "[2001:db8::9]:9" }
log: { destination: stdout }
allow:
  - { name: any port, to: ["*.example.org", "2001:db8:1::/48"] }
  - { name: ping, to: [0.0.0.0/0], protocol: icmp, users: [33, 4000], expires: 2030-01-31T18:00:00+02:00 }
  - { name: unit, to: [198.51.100.7], ports: 8080-8090, protocol: any, units: [nginx.service] }
`
  for (const text of [EXAMPLE, rich, 'mode: observe']) {
    const config = configOf(loadText(t, text))
    const again = configOf(loadText(t, showConfig(config, nameOf)))
    const plain = ({ allow, mirrors, notes: _, ...rest }: typeof config) => ({
      ...rest,
      mirrors: { ...mirrors, hosts: mirrors.hosts.map(({ origin: _, ...host }) => host) },
      allow: allow.map(({ origin: _, ...rule }) => rule),
    })
    t.same(plain(again), plain(config))
    t.equal(showConfig(again, nameOf), showConfig(config, nameOf))
  }
})

t.test('show-config prints the mask in hexadecimal, and users by name', async (t) => {
  const shown = showConfig(configOf(loadText(t, 'mode: observe')), nameOf)
  t.match(shown, /mask: 0x3f000000\n/)
  t.match(shown, /users: \[root, _apt\]\n/)
  t.match(showConfig(configOf(loadText(t, 'mode: observe'))), /users: \[0, 42\]\n/)
})

t.test('the environment overrides conf.d, conf.d overrides the main file, --set overrides all', async (t) => {
  const directory = directoryOf(t, {
    'main.yaml': 'mode: enforce\nblock: drop\nfallback: open\nonStop: keep\n',
    'conf.d/10-a.yaml': 'block: reject\nfallback: closed\nonStop: keep\n',
    'conf.d/20-b.yaml': 'fallback: open\n',
  })
  const environment = { CHECKVALVE_FALLBACK: 'static', CHECKVALVE_ON_STOP: 'keep', HOME: '/root' }
  const config = configOf(loadFrom(directory, { environment, set: ['onStop=keep', 'onStop=remove'] }))
  t.match(config, { mode: 'enforce', block: 'reject', fallback: 'static', onStop: 'remove' })
})

t.test(
  'lists of files are joined in the order of the file names; a list from elsewhere replaces them',
  async (t) => {
    const directory = directoryOf(t, {
      'main.yaml': 'mirrors: { ports: [80] }\nallow: [{ name: a, to: [192.0.2.1] }]',
      'conf.d/20.yaml': 'mirrors: { ports: [8080] }\nallow:\n\n  - { name: c, to: [192.0.2.3] }',
      'conf.d/10.yaml':
        'mirrors: { ports: [443], hosts: [mirror.example.org] }\nallow:\n  - { name: b, to: [192.0.2.2] }',
      'conf.d/.hidden.yaml': 'nonsense',
      'conf.d/README': 'nonsense',
    })
    const config = configOf(loadFrom(directory))
    t.same(config.mirrors.ports, [port(80), port(443), port(8080)])
    t.same(
      config.allow.map(({ name }) => name),
      ['a', 'b', 'c'],
    )
    t.same(
      config.allow.map(({ origin }) => origin.line),
      [2, 3, 4],
    )
    const replaced = configOf(loadFrom(directory, { set: ['mirrors.ports=[1, "2-3"]', 'allow=[]'] }))
    t.same(replaced.mirrors.ports, [port(1), { first: 2, last: 3 }])
    t.same(replaced.allow, [])
  },
)

t.test('values of the environment are read as YAML; text that is not YAML is used as it is', async (t) => {
  const environment = {
    CHECKVALVE_MIRRORS_PORTS: '[80, 8000-8010]',
    CHECKVALVE_SESSIONS_TCP_TIMEOUT: '1h',
    CHECKVALVE_FIREWALL_MARK_MASK: '0xfc',
    CHECKVALVE_INFRASTRUCTURE_DHCP: 'false',
    CHECKVALVE_METRICS_LISTEN: '[::1]:9100',
  }
  const config = configOf(loadText(t, 'mode: observe', { environment }))
  t.same(config.mirrors.ports, [port(80), { first: 8000, last: 8010 }])
  t.equal(config.sessions.tcpTimeout, 3600)
  t.equal(config.firewall.mark.mask, 0xfc)
  t.equal(config.infrastructure.dhcp, false)
  t.same(config.metrics.listen, { host: '::1', port: 9100 })
})

t.test('durations have units, or are numbers of seconds', async (t) => {
  const cases: [string, number][] = [
    ['500ms', 0.5],
    ['10s', 10],
    ['10m', 600],
    ['1h', 3600],
    ['5d', 432_000],
    ['90', 90],
    ['1.5h', 5400],
  ]
  for (const [written, seconds] of cases) {
    const yaml = `sessions: { tcpTimeout: 2s, udpTimeout: ${written} }`
    if (seconds < 1) t.match(linesOf(loadText(t, yaml))[0], /from 1s to 30d, not "500ms"/)
    else t.equal(configOf(loadText(t, yaml)).sessions.udpTimeout, seconds, written)
  }
})

t.test('a YAML anchor may be used again, and a rule without ports has all ports', async (t) => {
  const yaml = 'allow:\n  - { name: a, to: &hosts [192.0.2.1, api.example.org] }\n  - { name: b, to: *hosts }'
  const [a, b] = configOf(loadText(t, yaml)).allow
  t.same(a?.to, b?.to)
  t.same(a?.ports, [{ first: 0, last: 65535 }])
  t.equal(a?.protocol, 'tcp')
})

t.test('an expiry is an instant: a date begins in UTC, a time names its zone', async (t) => {
  const cases: [string, string][] = [
    ['2030-01-31', '2030-01-31T00:00:00.000Z'],
    ['"2030-01-31 18:00Z"', '2030-01-31T18:00:00.000Z'],
    ['2030-01-31T18:00:30+02:00', '2030-01-31T16:00:30.000Z'],
  ]
  for (const [written, instant] of cases) {
    const config = configOf(loadText(t, `allow: [{ name: a, to: [192.0.2.1], expires: ${written} }]`))
    t.equal(config.allow[0]?.expires, Date.parse(instant), written)
  }
})

t.test('a loaded configuration cannot be changed', async (t) => {
  const config = configOf(loadText(t, EXAMPLE))
  for (const part of [
    config,
    config.mirrors,
    config.mirrors.ports,
    config.allow[0],
    config.allow[0]?.to[1],
    config.notes,
  ]) {
    t.ok(Object.isFrozen(part))
  }
  t.equal(formatAddress(4, config.canary.target.words), '192.0.2.1')
})

t.test('a callback has a limit, and the protocol of its service when only a port is named', async (t) => {
  const yaml = `
sessions:
  callbacks:
    - { service: 21, protocol: tcp, ports: 1024-65535 }
    - { service: 69, protocol: udp, ports: 7000, perSession: 3 }
    - { service: udp/5060, protocol: tcp, ports: [5060, 6000-6001] }
`
  t.same(configOf(loadText(t, yaml)).sessions.callbacks, [
    {
      service: { protocol: 'tcp', port: 21 },
      protocol: 'tcp',
      ports: [{ first: 1024, last: 65535 }],
      perSession: 256,
    },
    {
      service: { protocol: 'udp', port: 69 },
      protocol: 'udp',
      ports: [{ first: 7000, last: 7000 }],
      perSession: 3,
    },
    {
      service: { protocol: 'udp', port: 5060 },
      protocol: 'tcp',
      ports: [
        { first: 5060, last: 5060 },
        { first: 6000, last: 6001 },
      ],
      perSession: 4,
    },
  ])
})

t.test('notes name exactly the rules that are closed while the service is silent', async (t) => {
  const yaml = `
dns: { enforceNames: true, holdAnswers: true }
containment: { action: quarantine }
mirrors: { discover: true, hosts: ["*.mirror.example.org"] }
infrastructure: { ntp: ["*.ntp.example.org"] }
allow:
  - { name: a, to: [192.0.2.1, "*.api.example.org"], units: [nginx.service] }
  - { name: b, to: ["*.api.example.org"] }
`
  const { notes } = configOf(loadText(t, yaml))
  t.same(
    notes.map((note) => note.split(':')[0]),
    ['whenSilent'],
  )
  t.equal(notes[0], 'whenSilent: closed while the service is silent: a')
  t.same(configOf(loadText(t, 'mode: enforce\nmirrors: { discover: false }')).notes, [])
  const rule = 'name: a, to: [192.0.2.1], units: [a.service], users: [0]'
  for (const more of ['whenSilent: users', 'whenSilent: closed', 'whenSilent: open'])
    t.same(configOf(loadText(t, `allow: [{ ${rule}, ${more} }]`)).notes, [], 'the rule says so itself')
  t.same(configOf(loadText(t, `fallback: closed\nallow: [{ ${rule} }]`)).notes, [], 'all is closed')
  const many = Array.from({ length: 10 }, (_, i) => `{ name: r${i}, to: [192.0.2.1], units: [a.service] }`)
  t.match(configOf(loadText(t, `allow: [${many}]`)).notes, [
    /closed while the service is silent: r0, .*r7 and 2 more$/,
  ])
})

t.test('a fragment with another file extension is not read, and a note reports it', async (t) => {
  const directory = directoryOf(t, { 'main.yaml': 'mode: observe', 'conf.d/10-x.yml': 'mode: enforce' })
  const config = configOf(loadFrom(directory))
  t.equal(config.mode, 'observe')
  t.match(config.notes, [/conf\.d\/10-x\.yml is not read/])
})

t.test(
  'users of transparent proxies are found by name and by number, and by default there are none',
  async (t) => {
    t.same(configOf(loadText(t, 'mode: observe')).transparentUsers, [])
    t.same(configOf(loadText(t, 'transparentUsers: [www-data, 990]')).transparentUsers, [33, 990])
  },
)
