/** Every setting there is: what it means, its default, its form. */
import type { UserLookup } from '../system/users.js'
import { rules } from './allow.js'
import {
  absolutePath,
  autoOr,
  choice,
  count,
  duration,
  flag,
  listOrNone,
  sixBitMask,
  urlPath,
} from './formats.js'
import type { Format } from './location.js'
import {
  callback,
  destination,
  endpoint,
  listen,
  placedDestination,
  ports,
  prefix,
  service,
  usersOrDefault,
} from './network.js'
import type { Settings } from './setting-table.js'
import type { Config } from './types.js'

/** What comes out of the table: all of the configuration but the notes. */
export type Values = Omit<Config, 'notes'>

/** include/uapi/linux/un.h: `char sun_path[UNIX_PATH_MAX]`, 108 with the zero at its end. */
const UNIX_PATH_MAX = 108

export function schema(lookup: UserLookup): Settings<Values> {
  return {
    mode: {
      doc: 'observe: let everything out and record what would have been blocked; enforce: block it',
      default: 'observe',
      format: choice('observe', 'enforce'),
    },
    block: {
      doc: 'What the program on this host sees of a block: reject fails at once, drop lets it wait',
      default: 'reject',
      format: choice('reject', 'drop'),
    },
    fallback: {
      doc: "The kernel's own answer while the daemon is silent: the last known allowlist, nothing, or everything",
      default: 'static',
      format: choice('static', 'closed', 'open'),
    },
    onStop: {
      doc: 'What becomes of the firewall table when the service is stopped',
      default: 'remove',
      format: choice('remove', 'keep'),
    },
    ...kernelSettings(),
    ...inboundSettings(),
    ...nameSettings(),
    mirrors: mirrorSettings(lookup),
    allow: { doc: 'Your own rules', default: [], format: rules(lookup) },
    containment: containmentSettings(),
    ...outsideSettings(),
  }
}

function kernelSettings(): Settings<Pick<Values, 'firewall' | 'queue'>> {
  return {
    firewall: {
      queue: {
        doc: "How packets get to the queue: nftables' own statement, a rule of xtables, or what the kernel has",
        default: 'auto',
        format: choice('auto', 'native', 'xtables'),
      },
      mark: {
        mask: {
          doc: 'The six bits of packet marks and connection marks that belong to checkvalve',
          default: 0x3f000000,
          format: sixBitMask,
        },
      },
    },
    queue: {
      first: {
        doc: 'The number of the NFQUEUE; the two behind it are for names',
        default: 100,
        format: count(0, 65533),
      },
      count: { doc: 'How many queues, with the numbers that follow', default: 1, format: oneQueue },
      maxLength: { doc: 'Packets that may wait in a queue', default: 16384, format: count(1, 1_048_576) },
    },
  }
}

const oneQueue: Format<number> = (value, place) => {
  const queues = count(1, 65536)(value, place)
  return queues === undefined || queues === 1
    ? queues
    : place.fail('only one queue is served in this version: write 1')
}

function inboundSettings(): Settings<Pick<Values, 'sessions'>> {
  return {
    sessions: {
      capacity: {
        doc: 'Sessions of clients that are remembered',
        default: 1_000_000,
        format: count(1, 16_777_216),
      },
      tcpTimeout: {
        doc: 'How long a silent TCP session is kept',
        default: '5d',
        format: duration('1s', '30d'),
      },
      udpTimeout: {
        doc: 'How long a silent UDP session is kept',
        default: '10m',
        format: duration('1s', '30d'),
      },
      services: {
        doc: 'The services of this host, like tcp/443; auto: those that listen',
        default: 'auto',
        format: autoOr(service, '[tcp/80, udp/443]'),
      },
      callbacks: {
        doc: 'Connections back to a client of a service: its service, protocol and ports, how many for a session',
        default: [],
        format: listOrNone(callback, '[{ service: 21, protocol: tcp, ports: "1024-65535" }]'),
      },
    },
  }
}

function nameSettings(): Settings<Pick<Values, 'infrastructure' | 'dns'>> {
  return {
    infrastructure: {
      dns: {
        doc: "Addresses of the resolvers; auto: the host's own",
        default: 'auto',
        format: autoOr(prefix, '[192.0.2.53]'),
      },
      ntp: {
        doc: "Time servers; auto: the host's own",
        default: 'auto',
        format: autoOr(destination, '[ntp.example.org]'),
      },
      dhcp: { doc: 'Whether the host may renew its DHCP lease', default: true, format: flag },
    },
    dns: {
      holdAnswers: {
        doc: 'Hold the answer of a resolver until its addresses are allowed',
        default: true,
        format: flag,
      },
      holdTime: {
        doc: 'How long an answer is held at most; then it goes on, and is counted',
        default: '100ms',
        format: duration('1ms', '5s'),
      },
      resolve: { doc: 'Look allowed names up before anybody asks for them', default: true, format: flag },
      grace: {
        doc: 'How long an address stays allowed after its time, for programs that keep it',
        default: '5m',
        format: duration('0s', '1d'),
      },
      enforceNames: { doc: 'Block questions for names outside the allowlist', default: false, format: flag },
      searchDomains: {
        doc: "With enforceNames: allowed names may be asked for with the host's search domains behind them",
        default: true,
        format: flag,
      },
      reverse: {
        doc: 'With enforceNames: the names of addresses may be asked for',
        default: false,
        format: flag,
      },
    },
  }
}

function mirrorSettings(lookup: UserLookup): Settings<Values['mirrors']> {
  return {
    discover: {
      doc: 'Find update mirrors in the files of the package managers',
      default: true,
      format: flag,
    },
    root: {
      doc: "The directory under which those files are, / for the host's own",
      default: '/',
      format: absolutePath(),
    },
    hosts: {
      doc: 'More mirrors: names, wildcards, addresses, prefixes',
      default: [],
      format: listOrNone(placedDestination, '[mirror.example.org]'),
    },
    ports: { doc: 'The ports of all mirrors', default: [80, 443], format: ports },
    users: {
      doc: 'Who may reach the mirrors. Those of the default that this host lacks are left out',
      default: ['root', '_apt'],
      format: usersOrDefault(lookup),
    },
  }
}

function containmentSettings(): Settings<Values['containment']> {
  return {
    destinations: {
      doc: 'Blocked destinations of one user within the window that raise the alarm',
      default: 10,
      format: count(1, 100_000),
    },
    window: { doc: 'The window in which they are counted', default: '10s', format: duration('1s', '1d') },
    action: {
      doc: "alert: report it; quarantine: also refuse all of the user's new connections for a while",
      default: 'alert',
      format: choice('alert', 'quarantine'),
    },
    duration: { doc: 'How long a quarantine lasts', default: '15m', format: duration('1s', '30d') },
  }
}

function outsideSettings(): Settings<Pick<Values, 'log' | 'metrics' | 'control' | 'state' | 'canary'>> {
  return {
    log: {
      destination: {
        doc: 'The file of the block log, or stdout',
        default: '/var/log/checkvalve/blocks.json',
        format: absolutePath(4095, 'stdout'),
      },
      level: {
        doc: 'How much the service says about its own doings; blocks are always written',
        default: 'info',
        format: choice('info', 'warn', 'error'),
      },
    },
    metrics: {
      listen: { doc: 'Address and port of the HTTP server', default: '127.0.0.1:17671', format: listen },
      path: {
        doc: 'The path of the metrics',
        default: '/metrics',
        format: urlPath('/', '/healthz', '/readyz'),
      },
    },
    control: {
      socket: {
        doc: 'The socket of the command line',
        default: '/run/checkvalve/control.sock',
        format: absolutePath(UNIX_PATH_MAX - 1),
      },
    },
    state: {
      directory: { doc: 'What survives a restart', default: '/var/lib/checkvalve', format: absolutePath() },
    },
    canary: canarySettings(),
  }
}

function canarySettings(): Settings<Values['canary']> {
  return {
    target: {
      doc: 'An address and port that nobody needs: a connection to it must be blocked, as a proof',
      default: '192.0.2.1:9',
      format: endpoint,
    },
    interval: { doc: 'How often that is tried', default: '30s', format: duration('1s', '1d') },
  }
}
