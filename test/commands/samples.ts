import type { Status } from '../../src/telemetry/status.js'

export const NOW = Date.UTC(2027, 0, 31, 18)
export const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString()

export const STATUS: Status = {
  version: '1.2.3',
  started: ago(3 * 86_400 + 4 * 3600),
  mode: 'enforce',
  proven: true,
  notes: [],
  reload: { at: ago(7200), takenAt: ago(7200), problems: [] },
  verdicts: [
    { verdict: 'accept', reason: 'mirror', total: 87, lastMinute: 0 },
    { verdict: 'block', reason: 'name-not-allowed', total: 3, lastMinute: 0 },
    { verdict: 'block', reason: 'not-allowlisted', total: 12_345, lastMinute: 120 },
  ],
  blockedUsers: [
    { user: 'www-data', total: 12_340, lastMinute: 120, since: ago(754), last: ago(2) },
    { user: 'unknown', total: 8, lastMinute: 0, since: ago(7300), last: ago(7200) },
  ],
  lastBlocks: [],
  allow: [],
  kernel: { reply: 1_000_000, approved: 12, fallback_drop: 0 },
  queue: { number: 100, form: 'native', maxLength: 16_384, waiting: 2, dropped: 0, userDropped: 0 },
  sessions: { tcp: 123, udp: 4, capacity: 1_000_000, evicted: 0, tracked: 120, trackedAtMost: 65_536 },
  log: { destination: '/var/log/checkvalve/blocks.json', told: 500, summed: 20, suppressed: 0, dropped: 0 },
  resolvers: ['198.51.100.53', '2001:db8::53'],
  mirrors: [
    {
      host: 'mirror.example.org',
      ports: ['80'],
      manager: 'apt',
      found: '/etc/apt/sources.list:2',
      addresses: [1, 2, 3, 4].map((each) => ({ address: `198.51.100.${each}`, until: ago(-300) })),
    },
  ],
  moreMirrors: 0,
}
