import t from 'tap'
import { allowedBy, entriesLines } from '../../src/commands/entries-text.js'
import type { WrittenRule } from '../../src/config/show.js'
import { ago, NOW } from './samples.js'

const entry = (more: Partial<WrittenRule>): WrittenRule => ({
  name: 'api',
  to: ['api.example.org'],
  ports: undefined,
  protocol: 'tcp',
  users: undefined,
  units: undefined,
  expires: undefined,
  ...more,
})

t.test('an entry is printed in words: protocol, destination, users and units', async (t) => {
  t.equal(allowedBy(entry({})), 'tcp to api.example.org')
  t.equal(
    allowedBy(entry({ protocol: 'any', to: ['a.example.org', '192.0.2.0/24'] })),
    'any protocol to a.example.org, 192.0.2.0/24',
  )
  t.equal(
    allowedBy(entry({ ports: [443, '8000-8080'], users: ['www-data', 1001] })),
    'tcp 443, 8000-8080 to api.example.org, for www-data, 1001',
  )
  t.equal(allowedBy(entry({ units: ['nginx.service'] })), 'tcp to api.example.org, in nginx.service')
  t.equal(
    allowedBy(entry({ users: ['root'], units: ['a.service'] })),
    'tcp to api.example.org, for root, in a.service',
  )
})

t.test('entries are printed one below the other, with the time until they expire', async (t) => {
  const entries = [
    entry({ expires: ago(-7199.2) }),
    entry({ name: 'short', expires: ago(-90) }),
    entry({ name: 'a name that is longer than the column' }),
  ]
  t.same(entriesLines(entries, NOW), [
    'api         tcp to api.example.org; 2 h left',
    'short       tcp to api.example.org; 1 min 30 s left',
    'a name that is longer than the column',
    '            tcp to api.example.org; stays until it is removed',
  ])
})
