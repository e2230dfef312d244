import type { Answer } from 'dns-packet'
import t from 'tap'
import { a, asked, SRV, srv } from '../answers.js'
import { nothing, read } from './reading.js'

const SERVICE = '_http._tcp.mirror.example.org'

const service = (...answers: Answer[]) => read(answers, { of: asked(SERVICE, SRV) })

t.test('an SRV answer gives the targets of its service', async (t) => {
  t.same(service(srv(SERVICE, 'A.example.org', 80), srv(SERVICE, 'b.example.org.', 8080, 30)), {
    ...nothing,
    targets: [
      { name: 'a.example.org', port: 80 },
      { name: 'b.example.org', port: 8080 },
    ],
    ttl: 30,
  })
})

t.test('a target of "." means that there is no such service', async (t) => {
  t.equal(service(srv(SERVICE, '.', 80)), undefined)
  t.equal(service(srv(SERVICE, 'a.example.org', 0)), undefined)
  t.same(service(srv(SERVICE, '.'), srv(SERVICE, 'a.example.org'))?.targets, [
    { name: 'a.example.org', port: 80 },
  ])
})

t.test(
  'a target is a host name: an address, a network or a wildcard in its place allows nothing',
  async (t) => {
    for (const text of [
      '0.0.0.0/0',
      '10.0.0.0/8',
      '198.51.100.66',
      '*.example.org',
      '*',
      'a b.example.org',
      'é.example.org',
    ])
      t.same(
        service(srv(SERVICE, text), srv(SERVICE, 'a.example.org'))?.targets,
        [{ name: 'a.example.org', port: 80 }],
        text,
      )
  },
)

t.test('targets of another service are not believed, and too many targets are refused', async (t) => {
  t.equal(service(srv('_http._tcp.other.example.org', 'a.example.org')), undefined)
  const targets = (count: number) =>
    Array.from({ length: count }, (_, i) => srv(SERVICE, `t${i}.example.org`))
  t.equal(service(...targets(16))?.targets.length, 16)
  t.equal(service(...targets(17)), undefined)
})

t.test('addresses in the additional section are not targets of the service', async (t) => {
  t.same(service(srv(SERVICE, 'a.example.org'), a('a.example.org', '198.51.100.66'))?.hosts, [])
})
