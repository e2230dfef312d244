import t from 'tap'
import { NAMES_CANARY } from '../../../src/core/dns/query-policy.js'
import { decide } from '../../../src/core/policy/policy.js'
import { clients } from '../clients.js'
import { words } from '../packets.js'
import { query } from '../queries.js'
import { policy, rule } from '../rules.js'
import { NOW, tcp4, udp4, WWW_DATA } from './judging.js'

t.test(
  'only packets of the service itself are canaries: others who go there are blocked, and logged, as elsewhere',
  async (t) => {
    const resolver = rule({ reason: 'resolver', name: 'resolver', ports: [{ first: 53, last: 53 }] })
    const given = {
      canary: { family: 4, words: words('198.51.100.2'), port: 443 },
      canaryUser: 990,
      queryPolicy: { isAllowed: () => false, reverse: false, search: [] },
    } as const
    const judge = (uid: number, packet = tcp4({ destinationPort: 443 }), rules = [resolver]) =>
      decide(policy(rules, given), packet, { ...WWW_DATA, uid }, clients(), NOW).reason
    t.same([judge(990), judge(33)], ['canary', 'not-allowlisted'])
    const asked = udp4({ destinationPort: 53, payload: query(NAMES_CANARY) })
    t.same([judge(990, asked), judge(33, asked)], ['canary', 'name-not-allowed'])
  },
)
