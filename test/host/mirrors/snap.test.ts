import t from 'tap'
import { parseState, parseStore } from '../../../src/host/mirrors/snap.js'
import { hostOf, shown } from './sample-hosts.js'

const STATE = '/var/lib/snapd/state.json'
const STORE = '/var/lib/snapd/assertions/asserts-v0/store/ID1/active'
const state = (proxy: object) => JSON.stringify({ data: { config: { core: { proxy } } } })

t.test(
  "for snapd without a proxy and without its own store, a note asks to name the store's hosts",
  async (t) => {
    const note = 'the store of snapd is named in no file: name its hosts in mirrors.hosts'
    t.same(shown(hostOf(t, { [STATE]: state({}) })), { mirrors: [], notes: [`${STATE}: ${note}`] })
    t.same(shown(hostOf(t, { '/usr/lib/snapd/snapd': '' })).notes, [`/usr/lib/snapd/snapd: ${note}`])
    t.same(shown(hostOf(t, { '/etc/environment': 'https_proxy=http://p.example.org\n' })), {
      mirrors: [],
      notes: [],
    })
  },
)

t.test('the store is the one that proxy.store names; with a proxy only the proxy is a mirror', async (t) => {
  const files = {
    [STATE]: state({ store: 'ID1' }),
    [STORE]: 'type: store\nurl: https://store.example.org\n\nsignature',
  }
  t.same(shown(hostOf(t, files)).mirrors, [`store.example.org:443 ${STORE}:2`])
  t.same(shown(hostOf(t, { ...files, [STATE]: state({ store: 'ID2' }) })).mirrors, [])
  const proxied = state({ store: 'ID1', https: 'http://proxy.example.org', http: 'http://no.example.org' })
  t.same(shown(hostOf(t, { ...files, [STATE]: proxied })).mirrors, [`proxy.example.org:80 ${STATE}:1`])
})

t.test('without system options, the proxy is read from the environment of the service', async (t) => {
  const files = {
    [STATE]: '{}',
    '/etc/environment': 'PATH="/bin"\nhttps_proxy="http://env.example.org:3128/"\n',
  }
  t.same(shown(hostOf(t, files)).mirrors, ['env.example.org:3128 /etc/environment:2'])
  const dropIn = '/etc/systemd/system/snapd.service.d/proxy.conf'
  const unit =
    '[Service]\nEnvironment="HTTP_PROXY=http://no.example.org" "HTTPS_PROXY=http://unit.example.org:8080"\n'
  t.same(shown(hostOf(t, { ...files, [dropIn]: unit })).mirrors, [`unit.example.org:8080 ${dropIn}:2`])
})

t.test('a state or an assertion of another form gives no mirror', async (t) => {
  for (const text of [
    '',
    '[]',
    'null',
    '{"data":{"config":{"core":{"proxy":7}}}}',
    state({ http: 1, store: [] }),
    '{"data":',
  ])
    t.same(parseState(text), {}, text)
  t.equal(parseStore('type: store\n\nurl: http://signature.example.org'), undefined)
})

t.test(
  'a proxy in /etc/environment gives a note when a package manager may use it from a login',
  async (t) => {
    const { mirrors, notes } = shown(
      hostOf(t, {
        '/etc/environment': 'x=1\nhttp_proxy=http://p.example.org\n',
        '/etc/apk/repositories': 'http://a.example.org/',
      }),
    )
    t.same(mirrors, ['a.example.org:80 /etc/apk/repositories:1'])
    t.match(notes, [/^\/etc\/environment:2: a proxy for all logins/])
  },
)
