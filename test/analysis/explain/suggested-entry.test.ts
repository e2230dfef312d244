import t from 'tap'
import { ask, world } from './context.js'

t.test('no entry is proposed for root from a port of its own: none with users would match', async (t) => {
  const made = world(t, 'mode: enforce\n')
  const suggested = async (options: Record<string, string>) =>
    (await ask(made, 'tcp', '203.0.113.5:80', options)).entry
  t.equal(await suggested({ uid: '0', 'from-port': '443' }), undefined)
  t.match(await suggested({ uid: '0' }), { to: ['203.0.113.5'] })
  t.match(await suggested({ uid: '33', 'from-port': '443' }), { to: ['203.0.113.5'] })
})
