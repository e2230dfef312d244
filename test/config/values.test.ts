import t from 'tap'
import { problemsOf } from './files.js'

/** CASES has configuration texts, each with the beginnings of all messages about it. */
const CASES: [what: string, yaml: string, lines: string[]][] = [
  [
    'a word that is no choice',
    'mode: enfroce',
    ['main.yaml:1: mode: must be observe or enforce, not "enfroce"'],
  ],
  ['a misspelled key', '\nblok: drop', ['main.yaml:2: blok: unknown key (did you mean block?)']],
  ['a key in other case', 'on-stop: keep', ['main.yaml:1: on-stop: unknown key (did you mean onStop?)']],
  ['a key of another group', 'hosts: []', ['main.yaml:1: hosts: unknown key (did you mean mirrors.hosts?)']],
  [
    'a key that resembles no setting',
    'log:\n  banana: 1',
    ['main.yaml:2: log.banana: unknown key; known here: destination, level'],
  ],
  ['a key without a value', 'mode:', ['main.yaml:1: mode: must be observe or enforce, not nothing']],
  [
    'a group without keys',
    'mode: observe\nmirrors:\n',
    ['main.yaml:2: mirrors: is empty: write its keys below it, or leave it out'],
  ],
  [
    'a value in place of a group',
    'queue: 100',
    ['main.yaml:1: queue: must hold keys with values, like `first: ...`'],
  ],
  [
    'a mapping in place of a value',
    'mode: { a: { b: 1 } }',
    ['main.yaml:1: mode: must be observe or enforce, not a mapping'],
  ],
  [
    'a key that is written twice',
    'block: drop\nmode: observe\nblock: reject',
    ['main.yaml:3: block: is written twice, first on line 1'],
  ],
  [
    'a rule with a key twice',
    'allow:\n  - name: a\n    to: [192.0.2.1]\n    name: b',
    ['main.yaml:4: allow[0].name: is written twice, first on line 2'],
  ],
  [
    'an impossible prefix length',
    'mirrors:\n  hosts:\n    - 10.0.0.0/33',
    ['main.yaml:3: mirrors.hosts[0]: "10.0.0.0/33" has an impossible prefix length: IPv4 has 0 to 32'],
  ],
  [
    'a prefix with host bits',
    'mirrors: { hosts: [203.0.113.7/24] }',
    [
      'main.yaml:1: mirrors.hosts[0]: "203.0.113.7/24" has bits behind the prefix length: write 203.0.113.0/24 for the network, or 203.0.113.7 for one address',
    ],
  ],
  [
    'port 70000',
    'mirrors:\n  ports:\n    - 80\n    - 70000',
    [
      'main.yaml:4: mirrors.ports[1]: must be a port from 1 to 65535, or a range like "1024-65535", not 70000',
    ],
  ],
  [
    'port 0 and wrong ranges',
    'mirrors: { ports: [0, 90-80, x, 1.5] }',
    [
      'main.yaml:1: mirrors.ports[0]: must be a port from 1 to 65535',
      'main.yaml:1: mirrors.ports[1]: is a range from high to low: write "80-90"',
      'main.yaml:1: mirrors.ports[2]: must be a port from 1 to 65535',
      'main.yaml:1: mirrors.ports[3]: must be a port from 1 to 65535',
    ],
  ],
  ['one wrong port', 'mirrors: { ports: 70000 }', ['main.yaml:1: mirrors.ports: must be a port']],
  [
    'a user that does not exist',
    'mirrors:\n  users: [root, wwwdata]',
    ['main.yaml:2: mirrors.users[1]: there is no user "wwwdata" on this host'],
  ],
  [
    'a user of a transparent proxy that does not exist',
    'transparentUsers: [haproxy]',
    ['main.yaml:1: transparentUsers[0]: there is no user "haproxy" on this host'],
  ],
  [
    'a user who is a mapping',
    'mirrors: { users: [{ a: 1 }] }',
    ['main.yaml:1: mirrors.users[0]: must be a user, not a mapping'],
  ],
  [
    'a name for two rules',
    'allow:\n  - { name: a, to: [192.0.2.1] }\n  - { name: b, to: [192.0.2.1] }\n  - to: [192.0.2.1]\n    name: a',
    ['main.yaml:5: allow[2].name: "a" is the name of another rule already, at main.yaml:2'],
  ],
  [
    'a name that a built-in rule has',
    'allow: [{ name: mirrors, to: [192.0.2.1] }]',
    ['main.yaml:1: allow[0].name: "mirrors" is the name of a built-in rule: choose another'],
  ],
  [
    'rules without a name or a destination',
    'allow:\n  - to: [192.0.2.1]\n  - { name: b }\n  - {}',
    [
      'main.yaml:2: allow[0]: has no `name`',
      'main.yaml:3: allow[1]: has no `to`',
      'main.yaml:4: allow[2]: has no `name`',
      'main.yaml:4: allow[2]: has no `to`',
    ],
  ],
  [
    'a rule that is a word',
    'allow: [a]',
    [
      'main.yaml:1: allow[0]: must be a mapping with name, to, ports, protocol, users, units, whenSilent or expires, not "a"',
    ],
  ],
  [
    'a rule that falls back to users and has none',
    'allow: [{ name: a, to: [192.0.2.1], units: [a.service], whenSilent: users }]',
    [
      'main.yaml:1: allow[0].whenSilent: falls back to the users of the rule: name them in `users`, or write `open`',
    ],
  ],
  [
    'a word that whenSilent does not have',
    'allow: [{ name: a, to: [192.0.2.1], whenSilent: accept }]',
    ['main.yaml:1: allow[0].whenSilent: must be users, closed or open, not "accept"'],
  ],
  [
    'rules that are no list',
    'allow: { name: a }',
    ['main.yaml:1: allow: must be a list, like [{ name: api, to: [api.example.org] }]'],
  ],
  [
    'a key that no rule has',
    'allow:\n  - name: a\n    to: [192.0.2.1]\n    port: 443',
    ['main.yaml:4: allow[0].port: unknown key (did you mean ports?)'],
  ],
  [
    'words that other firewalls have for every address',
    'allow: [{ name: a, to: [all, Any, "*"] }]',
    [
      'main.yaml:1: allow[0].to[0]: "all" is no destination: name the hosts, or write 0.0.0.0/0 and "::/0" for every address',
      'main.yaml:1: allow[0].to[1]: "Any" is no destination: name the hosts, or write 0.0.0.0/0 and "::/0" for every address',
      'main.yaml:1: allow[0].to[2]: "*" would allow everything: name the hosts, or a domain like *.example.org; for every address write 0.0.0.0/0 and "::/0"',
    ],
  ],
  [
    'one destination that is no list',
    'allow: [{ name: a, to: api.example.org }]',
    ['main.yaml:1: allow[0].to: must be a list, like [api.example.org]'],
  ],
  [
    'empty lists',
    'mirrors: { ports: [], users: [] }\nallow:\n  - { name: a, to: [], users: [], units: [] }',
    [
      'main.yaml:1: mirrors.ports: is an empty list',
      'main.yaml:1: mirrors.users: is an empty list',
      'main.yaml:3: allow[0].to: is an empty list',
      'main.yaml:3: allow[0].users: is an empty list',
      'main.yaml:3: allow[0].units: is an empty list',
    ],
  ],
  [
    'ports of a protocol without ports',
    'allow: [{ name: a, to: [192.0.2.1], protocol: icmp, ports: 7 }]',
    ['main.yaml:1: allow[0].ports: icmp has no ports'],
  ],
  [
    'a name that would break a line of the log',
    'allow: [{ name: "a\\nb", to: [192.0.2.1] }]',
    ['main.yaml:1: allow[0].name: must be 1 to 64 letters'],
  ],
  [
    'a unit without its type',
    'allow: [{ name: a, to: [192.0.2.1], units: [nginx] }]',
    ['main.yaml:1: allow[0].units[0]: must be a systemd unit with its type, like nginx.service, not "nginx"'],
  ],
  [
    'a day that is in no calendar',
    'allow: [{ name: a, to: [192.0.2.1], expires: 2026-02-30 }]',
    ['main.yaml:1: allow[0].expires: is no date of the calendar: "2026-02-30"'],
  ],
  [
    'a time without a zone',
    'allow: [{ name: a, to: [192.0.2.1], expires: 2026-01-01T10:00 }]',
    ['main.yaml:1: allow[0].expires: has no time zone: write 2026-01-01T10:00Z'],
  ],
  [
    'a mask that is not six bits in a row',
    'firewall: { mark: { mask: 0x1f } }',
    ['main.yaml:1: firewall.mark.mask: must be six adjacent bits of 32, like 0x3f000000 or 0x3f, not 0x1f'],
  ],
  [
    'a mask beyond 32 bits',
    'firewall: { mark: { mask: 0x1f80000000 } }',
    ['main.yaml:1: firewall.mark.mask: must be six adjacent bits'],
  ],
  [
    'more queues than are served',
    'queue: { count: 2 }',
    ['main.yaml:1: queue.count: only one queue is served in this version: write 1'],
  ],
  [
    'a queue number that does not exist',
    'queue: { first: 65536 }',
    ['main.yaml:1: queue.first: must be a whole number from 0 to 65533, not 65536'],
  ],
  [
    'wrong services',
    'sessions: { services: [tcp/70000, http, { port: 1 }] }',
    [
      'main.yaml:1: sessions.services[0]: must be a port from 1 to 65535, not 70000',
      'main.yaml:1: sessions.services[1]: must be a service like tcp/80 or udp/443, not "http"',
      'main.yaml:1: sessions.services[2]: has no `protocol`',
    ],
  ],
  [
    'an incomplete callback',
    'sessions: { callbacks: [{ service: tcp/21 }] }',
    [
      'main.yaml:1: sessions.callbacks[0]: has no `protocol`',
      'main.yaml:1: sessions.callbacks[0]: has no `ports`',
    ],
  ],
  [
    'a callback with impossible values',
    'sessions: { callbacks: [{ service: 70000, protocol: icmp, ports: 0, perSession: 0, most: 3 }] }',
    [
      'main.yaml:1: sessions.callbacks[0].most: unknown key; known here: service, protocol, ports, perSession',
      'main.yaml:1: sessions.callbacks[0].protocol: must be tcp or udp, not "icmp"',
      'main.yaml:1: sessions.callbacks[0].service: must be a port from 1 to 65535, not 70000',
      'main.yaml:1: sessions.callbacks[0].ports: must be a port from 1 to 65535, or a range like "1024-65535", not 0',
      'main.yaml:1: sessions.callbacks[0].perSession: must be a whole number from 1 to 65535, not 0',
    ],
  ],
  [
    'a duration with an unknown unit',
    'canary: { interval: 10min }',
    ['main.yaml:1: canary.interval: must be a duration like 500ms, 10s, 10m, 1h or 5d, not "10min"'],
  ],
  [
    'a duration too short',
    'canary: { interval: 10ms }',
    ['main.yaml:1: canary.interval: must be a duration from 1s to 1d, not "10ms"'],
  ],
  [
    'a canary that would never be queued',
    'canary: { target: "127.0.0.1:9" }',
    ['main.yaml:1: canary.target: is an address of this host'],
  ],
  [
    'a canary at the unspecified address',
    'canary: { target: "[::]:9" }',
    ['main.yaml:1: canary.target: is an address of this host'],
  ],
  [
    'a canary with a name',
    'canary: { target: "mirror.example.org:9" }',
    ['main.yaml:1: canary.target: must be an address and a port'],
  ],
  [
    'a listener without an address',
    'metrics: { listen: ":80" }',
    ['main.yaml:1: metrics.listen: names no address: write "0.0.0.0:80" or "[::]:80" for all of them'],
  ],
  [
    'a listener without a port',
    'metrics: { listen: 127.0.0.1 }',
    ['main.yaml:1: metrics.listen: must be an address and a port'],
  ],
  [
    'a listener at port 70000',
    'metrics: { listen: "localhost:70000" }',
    ['main.yaml:1: metrics.listen: must be a port from 1 to 65535, not 70000'],
  ],
  [
    'a listener at a wrong address',
    'metrics: { listen: "10.0.0.256:80" }',
    ['main.yaml:1: metrics.listen: "10.0.0.256" is neither a host name nor an IPv4 address'],
  ],
  [
    'a path that is in use',
    'metrics: { path: /healthz }',
    ['main.yaml:1: metrics.path: /healthz answers something else'],
  ],
  [
    'a wrong path',
    'metrics: { path: "metrics?x" }',
    ['main.yaml:1: metrics.path: must be the path of a URL'],
  ],
  [
    'a level at which the service logs nothing',
    'log: { level: debug }',
    ['main.yaml:1: log.level: must be info, warn or error, not "debug"'],
  ],
  [
    'relative paths of files',
    'log: { destination: blocks.json }\nstate: { directory: "/a\\0b" }',
    [
      'main.yaml:1: log.destination: must be stdout or a path that begins with /, not "blocks.json"',
      'main.yaml:2: state.directory: has a control character in it',
    ],
  ],
  [
    'a socket path longer than the kernel takes',
    `control: { socket: /${'x'.repeat(107)} }`,
    ['main.yaml:1: control.socket: is too long: 107 bytes at most'],
  ],
  [
    'resolvers as a word',
    'infrastructure: { dns: 192.0.2.1, dhcp: yes }',
    [
      'main.yaml:1: infrastructure.dns: must be auto, or a list like [192.0.2.1]',
      'main.yaml:1: infrastructure.dhcp: must be true or false, not "yes"',
    ],
  ],
  [
    'keys with a meaning in JavaScript',
    '__proto__: { mode: enforce }\nconstructor: { prototype: 1 }\nallow:\n  - { __proto__: { name: a }, toString: 1 }',
    [
      'main.yaml:1: __proto__: unknown key; known here: mode,',
      'main.yaml:2: constructor: unknown key; known here: mode,',
      'main.yaml:4: allow[0].__proto__: unknown key; known here: name,',
      'main.yaml:4: allow[0].toString: unknown key; known here: name,',
      'main.yaml:4: allow[0]: has no `name`',
      'main.yaml:4: allow[0]: has no `to`',
    ],
  ],
]

for (const [what, yaml, expected] of CASES) {
  t.test(`a problem has its file, line and key: ${what}`, async (t) => {
    const lines = problemsOf(t, yaml)
    t.equal(lines.length, expected.length, lines.join('\n'))
    for (const [index, line] of expected.entries()) t.equal(lines[index]?.slice(0, line.length), line)
  })
}

t.test('an empty list means that the host has no resolver, no time server, no service', async (t) => {
  t.strictSame(problemsOf(t, 'infrastructure: { dns: [], ntp: [] }\nsessions: { services: [] }'), [])
})
