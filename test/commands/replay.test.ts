import { mkdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { directoryOf } from '../config/files.js'
import { lineOf, suppressed, textOf } from '../records/block-log/events.js'
import { run } from './running.js'

const SHOP = { uid: 4711, user: 'shop' }
const API = 'allow: [{ name: api, to: [203.0.113.7], ports: [443], users: [4711] }]\n'
const REDIS = 'allow: [{ name: redis, to: [203.0.113.9], ports: [6379] }]\n'

/** Makes a host with a log. @param passed contents of the service's file of accepted flows */
function host(t: Test, log: string, passed?: unknown, evicted = 0) {
  const folder = directoryOf(t, {})
  for (const name of ['state', 'new']) mkdirSync(`${folder}/${name}`)
  writeFileSync(`${folder}/blocks.json`, log)
  const settings = `mode: enforce
mirrors: { discover: false }
infrastructure: { dns: [], ntp: [] }
log: { destination: ${folder}/blocks.json }
control: { socket: ${folder}/control.sock }
state: { directory: ${folder}/state }
`
  writeFileSync(`${folder}/checkvalve.yaml`, settings)
  if (passed !== undefined)
    writeFileSync(`${folder}/state/passed.json`, JSON.stringify({ kinds: passed, evicted }))
  const replay = (candidate: string, ...words: string[]) => {
    writeFileSync(
      `${folder}/new/checkvalve.yaml`,
      `mode: enforce\nmirrors: { discover: false }\ninfrastructure: { dns: [], ntp: [] }\n${candidate}`,
    )
    return run([
      'replay',
      '--policy',
      `${folder}/new/checkvalve.yaml`,
      '--config',
      `${folder}/checkvalve.yaml`,
      ...words,
    ])
  }
  return { folder, replay }
}

const kind = (some: object = {}) => ({
  ...{
    uid: 4711,
    transport: 'tcp',
    address: '203.0.113.9',
    port: 6379,
    sourcePort: 40000,
    reason: 'rule',
    rule: 'redis',
  },
  ...{ count: 12, first: '2024-11-26T08:00:00Z', last: '2024-11-26T09:00:00Z', ...some },
})

t.test(
  'an event is printed with its rule when it would be accepted, else with its reason; the sum is exact',
  async (t) => {
    const { folder, replay } = host(
      t,
      `${textOf([
        { ...SHOP, repeat: 20 },
        { ...SHOP, port: 22, repeat: 3 },
      ])}${suppressed(100)}\n`,
    )
    const { status, stdout, stderr } = replay(API)
    t.same([status, stderr], [0, ''])
    t.match(stdout, 'PASSES NOW (was blocked): 20\n       20  shop  203.0.113.7:443/tcp\n')
    t.match(stdout, `rule api (${folder}/new/checkvalve.yaml:4)\n`)
    t.match(stdout, 'STILL BLOCKED: 3\n        3  shop  203.0.113.7:22/tcp  not-allowlisted\n')
    t.match(stdout, '123 blocks: 20 pass now, 3 are still blocked, 100 cannot be judged\n')
    t.match(stdout, 'What was accepted is not known: the service does not run here')
  },
)

t.test('an accepted flow that would be blocked makes the command exit with 1', async (t) => {
  const { folder, replay } = host(t, textOf([SHOP]), [kind()])
  const same = replay(REDIS)
  t.equal(same.status, 0)
  t.match(
    same.stdout.replaceAll('\n', ' '),
    `12 accepted (by ${folder}/state/passed.json): 12 still pass, 0 are blocked now`,
  )
  const less = replay(API)
  t.equal(less.status, 1)
  t.match(
    less.stdout,
    'BLOCKED NOW (has passed): 12\n       12  4711  203.0.113.9:6379/tcp  not-allowlisted\n',
  )
  const recent = replay(API, '--since', '2024-11-26T09:30Z')
  t.equal(recent.status, 0, 'the flow was not seen for a long time')
  t.match(recent.stdout, '0 blocks: 0 pass now')
})

t.test('when some accepted flows are not known, the output reports it', async (t) => {
  const known = host(t, '', [kind()], 1536).replay(REDIS)
  const output = known.stdout.replaceAll('\n', ' ')
  t.match(output, 'note: not all accepted packets are tried: 1,536 kinds of them were forgotten')
  t.notMatch(host(t, '', [kind()]).replay(REDIS).stdout, 'forgotten')
})

t.test('runtime entries stay valid beside another configuration', async (t) => {
  const { folder, replay } = host(t, '', [kind()])
  const entry = { name: 'redis', to: ['203.0.113.9'], protocol: 'tcp' }
  const keep = (entries: object[]) => writeFileSync(`${folder}/state/allow.json`, JSON.stringify({ entries }))
  keep([entry])
  t.equal(replay(API).status, 0)
  keep([{ ...entry, expires: '2024-11-26' }])
  t.equal(replay(API).status, 1, 'expired runtime entries do not')
})

t.test('names have the addresses that the service has learned', async (t) => {
  const { folder, replay } = host(t, textOf([SHOP]))
  const named = 'allow: [{ name: api, to: [api.example.org] }]\n'
  const before = replay(named)
  t.match(before.stdout, 'note: no address is known here for api.example.org')
  t.match(before.stdout, '0 pass now, 1 are still blocked')
  const known = {
    names: { 'api.example.org': [{ address: '203.0.113.7', expires: '2024-11-27T00:00:00Z' }] },
    services: {},
  }
  writeFileSync(`${folder}/state/addresses.json`, JSON.stringify(known))
  const after = replay(named)
  t.notMatch(after.stdout, 'note:')
  t.match(after.stdout, '1 pass now, 0 are still blocked')
})

t.test('the log may be another file or standard input; --json is for programs', async (t) => {
  const { folder, replay } = host(t, textOf([SHOP]))
  writeFileSync(`${folder}/other.json`, textOf([{ ...SHOP, repeat: 7 }]))
  t.match(replay(API, `${folder}/other.json`).stdout, `against 7 blocks in ${folder}/other.json`)
  const args = [
    'replay',
    '--policy',
    `${folder}/new/checkvalve.yaml`,
    '--config',
    `${folder}/checkvalve.yaml`,
    '--json',
    '-',
  ]
  const { stdout } = run(args, { input: `${lineOf({ ...SHOP, repeat: 5 })}\n` })
  t.match(JSON.parse(stdout), { blocks: 5, log: 'standard input', blocked: { passesNow: { count: 5 } } })
  t.match(
    replay('', '--set', 'mode=observe').stdout,
    'note: its mode is observe: it would block nothing, only record',
  )
})

t.test(
  'a candidate that cannot be used is reported by file and line, and a missing one is wrong usage',
  async (t) => {
    const { folder, replay } = host(t, textOf([SHOP]))
    const { status, stdout, stderr } = replay('allow: [{ name: api, to: [nowhere/33] }]\n')
    t.same([status, stdout], [1, ''])
    t.match(stderr, `${folder}/new/checkvalve.yaml:4: allow[0].to[0]: `)
    const missing = run(['replay', '--config', `${folder}/checkvalve.yaml`])
    t.equal(missing.status, 2)
    t.match(missing.stderr, 'checkvalve: replay needs the configuration to try: --policy FILE\n')
    t.match(run(['replay', '--policy', `${folder}/none.yaml`, '--config', `${folder}/checkvalve.yaml`]), {
      status: 1,
      stderr: /none\.yaml: does not exist/,
    })
  },
)
