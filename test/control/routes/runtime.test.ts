import t from 'tap'
import { answer, type Refusal } from '../../../src/control/router.js'
import { type RuntimeOptions, runtimeRoutes } from '../../../src/control/routes/runtime.js'
import type { Overlay } from '../../../src/policy/overlay.js'
import { configOf, loadText, nameOf } from '../../config/files.js'

/** Makes the routes of a service that accepts every change. */
function routes(t: Parameters<typeof loadText>[0], yaml = 'mode: enforce\n') {
  const configured = configOf(loadText(t, yaml))
  const state: { overlay: Overlay; trouble: string | undefined; said: string[] } = {
    overlay: { mode: undefined, entries: [] },
    trouble: undefined,
    said: [],
  }
  const say = (text: string) => state.said.push(text)
  const inForce = {
    configured,
    config: configured,
    learned: { current: () => [] },
    host: { facts: { resolverNotes: ['a note'], timeServers: [] } },
    get overlay() {
      return state.overlay
    },
    alter: async (change: (overlay: Overlay, config: typeof configured) => Overlay) => {
      state.overlay = change(state.overlay, configured)
      return state.trouble
    },
  }
  const all = runtimeRoutes({
    inForce: inForce as unknown as RuntimeOptions['inForce'],
    store: { origin: { file: 'runtime entry in allow.json', line: undefined } },
    userName: nameOf,
    log: { info: say, warn: say } as unknown as RuntimeOptions['log'],
  })
  const ask = (method: string, url: string, body?: unknown) =>
    answer(all, {
      method,
      url,
      type: 'application/json',
      text: body === undefined ? '' : JSON.stringify(body),
    })
  return { state, ask }
}

t.test(
  'an added entry is returned in the form of a configuration file, and is listed in the same form',
  async (t) => {
    const { state, ask } = routes(t)
    const before = Date.now()
    const body = { name: 'a', to: ['192.0.2.1'], ports: ['443', '8000-8080'], users: ['root'], ttl: '2h' }
    const { entry, notes } = (await ask('POST', '/v1/allow', body)) as {
      entry: { expires: string }
      notes: string[]
    }
    t.match(entry, {
      name: 'a',
      to: ['192.0.2.1'],
      ports: [443, '8000-8080'],
      protocol: 'tcp',
      users: ['root'],
    })
    const left = Date.parse(entry.expires) - before
    t.ok(left >= 7_200_000 && left < 7_230_000, `${left}`)
    t.same(notes, [])
    t.same(await ask('GET', '/v1/allow'), { entries: [entry] })
    t.equal(state.overlay.entries[0]!.origin.file, 'runtime entry in allow.json')
    t.match(state.said, [/runtime entry a is in force/])
    await ask('DELETE', '/v1/allow?name=a')
    t.same(await ask('GET', '/v1/allow'), { entries: [] })
  },
)

t.test('an impossible time is refused, and so is an invalid entry', async (t) => {
  const { state, ask } = routes(t)
  const entry = { name: 'a', to: ['192.0.2.1'] }
  const cases: [body: unknown, key: string, reason: RegExp][] = [
    [{ ...entry, ttl: '0s' }, 'ttl', /from 1s to 365d/],
    [{ ...entry, ttl: null }, 'ttl', /must be a duration/],
    [{ ...entry, ttl: '1h', expires: '2099-01-01' }, 'ttl', /excludes expires/],
    [{ ...entry, expires: '2001-01-01' }, 'expires', /is in the past/],
    [{ ...entry, until: 'x' }, 'until', /unknown key/],
    [[entry], '', /must be a mapping/],
    ['entry', '', /must be a mapping/],
    [undefined, '', /must be a mapping/],
  ]
  for (const [body, key, reason] of cases) {
    const refusal = (await ask('POST', '/v1/allow', body).catch((error) => error)) as Refusal
    t.match(refusal, { status: 400, problems: [{ key, reason }] }, JSON.stringify(body))
  }
  t.same(state.overlay.entries, [])
})

t.test(
  'an entry gets a note when it is not saved, when a name has no address, and in mode observe',
  async (t) => {
    const { state, ask } = routes(t, 'mode: observe\n')
    state.trouble = 'ENOSPC'
    const { notes } = (await ask('POST', '/v1/allow', {
      name: 'a',
      to: ['b.example.org', 'c.example.org'],
    })) as { notes: string[] }
    t.match(notes, [
      /no address of b\.example\.org, c\.example\.org is known yet/,
      /mode is observe/,
      /a restart would undo it .*ENOSPC/,
    ])
  },
)

t.test('setting the mode of the configuration is no change', async (t) => {
  const { state, ask } = routes(t)
  t.match(await ask('PUT', '/v1/mode', { mode: 'observe' }), {
    mode: 'observe',
    configured: 'enforce',
    notes: [],
  })
  t.equal(state.overlay.mode, 'observe')
  const { notes } = (await ask('PUT', '/v1/mode', { mode: 'enforce' })) as { notes: string[] }
  t.match(notes, ['a note', /^no time server is known/], 'what is not known of the host')
  t.equal(state.overlay.mode, undefined)
  await t.rejects(ask('PUT', '/v1/mode', { mode: 'open' }), {
    status: 400,
    message: /mode: must be observe or enforce/,
  })
})

t.test('a refusal of the policy has a stable code and a matching HTTP status', async (t) => {
  const { ask } = routes(t)
  const entry = { name: 'a', to: ['192.0.2.1'] }
  await ask('POST', '/v1/allow', entry)
  await t.rejects(ask('POST', '/v1/allow', entry), { code: 'entry-exists', status: 409 })
  await t.rejects(ask('DELETE', '/v1/allow?name=b'), { code: 'unknown-entry', status: 404 })
})
