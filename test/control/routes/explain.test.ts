import t, { type Test } from 'tap'
import { answer, type Refusal } from '../../../src/control/router.js'
import { explainPath, explainRoute } from '../../../src/control/routes/explain.js'
import { world } from '../../analysis/explain/context.js'

const YAML = `mode: enforce
dns: { enforceNames: true }
infrastructure: { dns: [198.51.100.53] }
allow: [{ name: api, to: [203.0.113.0/24], ports: [443] }]
`
const get = (t: Test, url: string) =>
  answer([explainRoute(() => world(t, YAML))], { method: 'GET', url, type: undefined, text: '' })

t.test('a request with a query is answered', async (t) => {
  const url = explainPath({ protocol: 'tcp', to: '203.0.113.7:443', uid: '33' })
  t.match(await get(t, url), { verdict: 'accept', user: 'www-data', judged: [{ rule: { name: 'api' } }] })
})

t.test('a request without a valid query is refused with the reason', async (t) => {
  const wrong: [string, RegExp][] = [
    ['/v1/explain', /^the protocol is tcp, udp or icmp/],
    ['/v1/explain?protocol=tcp&to=203.0.113.7', /^the port is missing/],
    [
      '/v1/explain?protocol=tcp&to=203.0.113.7:443&user=root',
      /^there is no parameter "user"; there are .*uid/,
    ],
    ['/v1/explain?protocol=udp&to=198.51.100.53:53', /--question NAME/],
  ]
  for (const [url, pattern] of wrong) {
    const refusal = await get(t, url).catch((error: Refusal) => error)
    t.match(refusal, { status: 400, message: pattern }, url)
  }
})
