/** Tests which blocked packets the kernel may refuse itself: none that a rule may allow a moment later. */
import t from 'tap'
import { IPPROTO_ICMP } from '../../../src/core/packet/ip.js'
import { changingShapes, isBlockedAgain } from '../../../src/core/policy/repeats.js'
import type { RuleSpec } from '../../../src/core/policy/rule.js'
import { Callbacks } from '../../../src/core/session/callbacks.js'
import { readOnly } from '../../../src/core/session/client-replies.js'
import { noClients } from '../../../src/core/session/no-clients.js'
import { ipv4 } from '../packets.js'
import { rule } from '../rules.js'
import { NO_USER, read, tcp4, udp4, WWW_DATA } from './judging.js'

const https = tcp4({ destinationPort: 443 })
const again = (specs: Partial<RuleSpec>[], packet = https, sender = WWW_DATA, inbound = noClients()) =>
  isBlockedAgain(changingShapes(specs.map((spec) => rule(spec))), packet, sender, inbound)

t.test('what no rule may allow is blocked again', async (t) => {
  t.ok(again([]))
  t.ok(again([], udp4({ destinationPort: 9 })))
  t.ok(again([{ ports: [{ first: 443, last: 443 }] }]), 'fixed addresses do not change')
  const names = { names: ['api.example.org'] }
  t.ok(again([{ ...names, ports: [{ first: 80, last: 80 }] }]), 'names at another port')
  t.ok(again([{ ...names, protocol: 'udp' }]), 'names by another protocol')
  t.ok(again([{ ...names, users: [0] }]), 'names of another user')
})

t.test('what a rule may allow a moment later is not', async (t) => {
  const ports = [{ first: 400, last: 500 }]
  t.notOk(again([{ names: ['api.example.org'], ports }]), 'an address of its name may be learned')
  t.notOk(again([{ domains: ['example.org'] }]))
  t.notOk(again([{ units: ['web.service'], users: [33], ports }]), 'another unit of the user may send')
  t.notOk(again([{ sourcePort: 68 }]), 'another source port')
  const many = Array.from({ length: 100 }, () => ({ names: ['api.example.org'], users: [0] }))
  t.equal(changingShapes(many.map((spec) => rule(spec))).length, 1, 'rules of one shape are asked once')
})

t.test('neither is what depends on the socket, and what has no user or port', async (t) => {
  t.notOk(again([], https, { ...WWW_DATA, uid: 0 }), "root's sockets may be inherited")
  t.notOk(again([], https, NO_USER))
  t.notOk(again([], https, { ...WWW_DATA, isForeign: true }))
  t.notOk(again([], read(ipv4({ protocol: IPPROTO_ICMP }, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0)))))
  const spec = {
    service: { protocol: 'tcp', port: 21 },
    protocol: 'tcp',
    ports: [{ first: 400, last: 500 }],
    perSession: 1,
  } as const
  const inbound = { ...noClients(), callbacks: new Callbacks([spec], 600) }
  t.notOk(again([], https, WWW_DATA, inbound), 'a client may come whose service calls it back')
  t.notOk(again([], https, WWW_DATA, readOnly(inbound, inbound.callbacks)))
  t.ok(again([], tcp4({ destinationPort: 22 }), WWW_DATA, inbound))
})
