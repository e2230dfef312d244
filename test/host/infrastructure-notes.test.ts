import t from 'tap'
import { infrastructureNotes, resolverNotes } from '../../src/host/infrastructure-notes.js'
import { configOf, loadText } from '../config/files.js'
import { readHost } from './hosts.js'

const HERE = { '/etc/resolv.conf': 'nameserver 127.0.0.1\n' }

t.test(
  'a host without a known time server or with an unknown resolver is told so, with what to do',
  async (t) => {
    const config = configOf(loadText(t, 'mode: enforce\n'))
    const notes = infrastructureNotes(config, readHost(t, HERE))
    t.match(notes, [
      /resolv\.conf:1: it leads to this host itself, .*: name the resolvers that it asks in infrastructure\.dns$/,
      /^no time server is known, so that NTP is blocked: name one in infrastructure\.ntp/,
    ])
    t.equal(notes.length, 2)
    t.equal(resolverNotes(config, readHost(t, HERE)).length, 1)
    const known = {
      '/etc/resolv.conf': 'nameserver 192.0.2.53\n',
      '/etc/ntp.conf': 'server ntp.example.org\n',
    }
    t.same(infrastructureNotes(config, readHost(t, known)), [])
  },
)

t.test('what the configuration names itself, also none, is not asked of the host', async (t) => {
  const named = 'infrastructure: { dns: [192.0.2.53], ntp: [] }\n'
  t.same(infrastructureNotes(configOf(loadText(t, named)), readHost(t, HERE)), [])
})
