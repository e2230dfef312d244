/** The schema of the configuration: meaning, format, default and environment variable of each setting. */
import { containment } from './containment-settings.js'
import type { Settings } from './setting-table.js'

/** Longest paths in bytes, with the zero at their end: include/uapi/linux/limits.h; `sun_path` of un.h. */
const [PATH_MAX, UNIX_PATH_MAX] = [4096, 108] as const

/**
 * The schema as convict takes it. A new setting needs nothing but its entry here: `format` names a format of
 * named-formats.ts, and the keys beside `doc`, `format`, `default` and `env` are parameters of that format.
 */
export const schema = {
  mode: {
    doc: 'observe: accept everything and record what would be blocked; enforce: block it',
    format: 'choice',
    words: ['observe', 'enforce'],
    default: 'observe',
    env: 'CHECKVALVE_MODE',
  },
  block: {
    doc: 'How a blocked packet is refused: reject fails at once, drop lets the program wait',
    format: 'choice',
    words: ['reject', 'drop'],
    default: 'reject',
    env: 'CHECKVALVE_BLOCK',
  },
  fallback: {
    doc: 'What the kernel accepts while the service is silent: the last allowlist, nothing, or everything',
    format: 'choice',
    words: ['static', 'closed', 'open'],
    default: 'static',
    env: 'CHECKVALVE_FALLBACK',
  },
  onStop: {
    doc: 'Whether the firewall table is removed or kept when the service stops',
    format: 'choice',
    words: ['remove', 'keep'],
    default: 'remove',
    env: 'CHECKVALVE_ON_STOP',
  },
  transparentUsers: {
    doc: "Users of transparent proxies, which send from addresses that are not this host's",
    format: 'user-list',
    default: [],
    env: 'CHECKVALVE_TRANSPARENT_USERS',
  },
  firewall: {
    queue: {
      doc: "Form of the queue rule: nftables' own statement, xtables, or auto for what the kernel supports",
      format: 'choice',
      words: ['auto', 'native', 'xtables'],
      default: 'auto',
      env: 'CHECKVALVE_FIREWALL_QUEUE',
    },
    mark: {
      mask: {
        doc: 'Six adjacent bits of packet and connection marks that belong to checkvalve',
        format: 'six-bit-mask',
        default: 0x3f000000,
        env: 'CHECKVALVE_FIREWALL_MARK_MASK',
      },
    },
  },
  queue: {
    first: {
      doc: 'Number of the NFQUEUE; the next two numbers are for DNS queries and answers',
      format: 'count',
      min: 0,
      max: 65533,
      default: 100,
      env: 'CHECKVALVE_QUEUE_FIRST',
    },
    count: {
      doc: 'Number of queues',
      format: 'queue-count',
      default: 1,
      env: 'CHECKVALVE_QUEUE_COUNT',
    },
    maxLength: {
      doc: 'Packets that may wait in a queue',
      format: 'count',
      min: 1,
      max: 1_048_576,
      default: 16384,
      env: 'CHECKVALVE_QUEUE_MAX_LENGTH',
    },
  },
  sessions: {
    capacity: {
      doc: 'Sessions that the table holds; beyond that the oldest is evicted',
      format: 'count',
      min: 1,
      max: 16_777_216,
      default: 1_000_000,
      env: 'CHECKVALVE_SESSIONS_CAPACITY',
    },
    tcpTimeout: {
      doc: 'Time after which a silent TCP session is forgotten',
      format: 'duration',
      min: '1s',
      max: '30d',
      default: '5d',
      env: 'CHECKVALVE_SESSIONS_TCP_TIMEOUT',
    },
    udpTimeout: {
      doc: 'Time after which a silent UDP session is forgotten',
      format: 'duration',
      min: '1s',
      max: '30d',
      default: '10m',
      env: 'CHECKVALVE_SESSIONS_UDP_TIMEOUT',
    },
    services: {
      doc: 'Services of this host, like tcp/443; auto: the listening ones, also as an item of a list',
      format: 'services',
      default: 'auto',
      env: 'CHECKVALVE_SESSIONS_SERVICES',
    },
    callbacks: {
      doc: 'Connections back to a client of a service: service, protocol, ports, number per session',
      format: 'callbacks',
      default: [],
      env: 'CHECKVALVE_SESSIONS_CALLBACKS',
    },
  },
  infrastructure: {
    dns: {
      doc: "Addresses of resolvers; auto: the host's own",
      format: 'resolvers',
      default: 'auto',
      env: 'CHECKVALVE_INFRASTRUCTURE_DNS',
    },
    ntp: {
      doc: "Time servers; auto: the host's own",
      format: 'time-servers',
      default: 'auto',
      env: 'CHECKVALVE_INFRASTRUCTURE_NTP',
    },
    dhcp: {
      doc: 'Whether the host may renew its DHCP lease',
      format: 'flag',
      default: true,
      env: 'CHECKVALVE_INFRASTRUCTURE_DHCP',
    },
  },
  dns: {
    holdAnswers: {
      doc: 'Whether a DNS answer waits until its addresses are allowed',
      format: 'flag',
      default: true,
      env: 'CHECKVALVE_DNS_HOLD_ANSWERS',
    },
    holdTime: {
      doc: 'The longest time that an answer waits; then it is passed on and counted',
      format: 'duration',
      min: '1ms',
      max: '5s',
      default: '100ms',
      env: 'CHECKVALVE_DNS_HOLD_TIME',
    },
    resolve: {
      doc: 'Whether the service looks allowed names up itself',
      format: 'flag',
      default: true,
      env: 'CHECKVALVE_DNS_RESOLVE',
    },
    grace: {
      doc: 'Time that an address stays allowed after its TTL, for programs that keep it',
      format: 'duration',
      min: '0s',
      max: '1d',
      default: '5m',
      env: 'CHECKVALVE_DNS_GRACE',
    },
    keepUsed: {
      doc: 'How long an address that a name no longer has stays allowed to a user who used it, after the last use',
      format: 'duration',
      min: '0s',
      max: '30d',
      default: '1d',
      env: 'CHECKVALVE_DNS_KEEP_USED',
    },
    enforceNames: {
      doc: 'Whether DNS queries for names outside the allowlist are blocked',
      format: 'flag',
      default: false,
      env: 'CHECKVALVE_DNS_ENFORCE_NAMES',
    },
    searchDomains: {
      doc: "With enforceNames: whether allowed names may have the host's search domains behind them",
      format: 'flag',
      default: true,
      env: 'CHECKVALVE_DNS_SEARCH_DOMAINS',
    },
    reverse: {
      doc: 'With enforceNames: whether queries for the names of addresses are allowed',
      format: 'flag',
      default: false,
      env: 'CHECKVALVE_DNS_REVERSE',
    },
  },
  mirrors: {
    discover: {
      doc: 'Whether update mirrors are found in the files of package managers',
      format: 'flag',
      default: true,
      env: 'CHECKVALVE_MIRRORS_DISCOVER',
    },
    root: {
      doc: "Directory that holds those files: / for the host's own, or a chroot or image",
      format: 'path',
      max: PATH_MAX - 1,
      default: '/',
      env: 'CHECKVALVE_MIRRORS_ROOT',
    },
    hosts: {
      doc: 'Further mirrors: names, wildcards, addresses, prefixes',
      format: 'mirrors',
      default: [],
      env: 'CHECKVALVE_MIRRORS_HOSTS',
    },
    ports: {
      doc: 'Ports of the mirrors in mirrors.hosts',
      format: 'ports',
      default: [80, 443],
      env: 'CHECKVALVE_MIRRORS_PORTS',
    },
    users: {
      doc: 'Users who may reach mirrors; users of the default that this host lacks are left out',
      format: 'users',
      default: ['root', '_apt'],
      env: 'CHECKVALVE_MIRRORS_USERS',
    },
  },
  allow: {
    doc: "The operator's own rules",
    format: 'rules',
    default: [],
    env: 'CHECKVALVE_ALLOW',
  },
  containment,
  log: {
    destination: {
      doc: 'File of the block log, or stdout',
      format: 'path',
      max: PATH_MAX - 1,
      words: ['stdout'],
      default: '/var/log/checkvalve/blocks.json',
      env: 'CHECKVALVE_LOG_DESTINATION',
    },
    level: {
      doc: 'Least severity of messages about the service itself; blocks are always logged',
      format: 'choice',
      words: ['info', 'warn', 'error'],
      default: 'info',
      env: 'CHECKVALVE_LOG_LEVEL',
    },
  },
  metrics: {
    listen: {
      doc: 'Address and port of the HTTP server',
      format: 'listen',
      default: '127.0.0.1:17671',
      env: 'CHECKVALVE_METRICS_LISTEN',
    },
    path: {
      doc: 'URL path of the metrics',
      format: 'url-path',
      taken: ['/', '/healthz', '/readyz'],
      default: '/metrics',
      env: 'CHECKVALVE_METRICS_PATH',
    },
    webConfig: {
      doc: "File with TLS and passwords for the HTTP server, in the format of Prometheus' exporters",
      format: 'path',
      max: PATH_MAX - 1,
      words: ['none'],
      default: 'none',
      env: 'CHECKVALVE_METRICS_WEB_CONFIG',
    },
  },
  control: {
    socket: {
      doc: 'Socket by which commands reach the service',
      format: 'path',
      max: UNIX_PATH_MAX - 1,
      default: '/run/checkvalve/control.sock',
      env: 'CHECKVALVE_CONTROL_SOCKET',
    },
  },
  state: {
    directory: {
      doc: 'Directory for everything that survives a restart',
      format: 'path',
      max: PATH_MAX - 1,
      default: '/var/lib/checkvalve',
      env: 'CHECKVALVE_STATE_DIRECTORY',
    },
  },
  canary: {
    target: {
      doc: 'Address and port that nothing needs: a connection to it must be blocked, as a proof, in its family',
      format: 'endpoint',
      default: '192.0.2.1:9',
      env: 'CHECKVALVE_CANARY_TARGET',
    },
    interval: {
      doc: 'Time between two such connections',
      format: 'duration',
      min: '1s',
      max: '1d',
      default: '30s',
      env: 'CHECKVALVE_CANARY_INTERVAL',
    },
  },
} as const satisfies Settings
