import t from 'tap'
import { createTopology, MIRROR, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, serveHttp } from '../lab/traffic.js'
import { Service } from './service.js'

/**
 * Rules that set the bits outside the mask 0x3f000000 before the verdict on a packet, and compare them after
 * it.
 */
const OTHERS = `table inet others {
  counter kept { }
  counter changed { }
  chain before { type filter hook output priority mangle; policy accept;
    tcp dport 80 ct direction original meta mark set 0xc0a5a5a5 ct mark set ct mark | 0x805a5a5a
  }
  chain after { type filter hook output priority filter + 20; policy accept;
    tcp dport 80 ct direction original goto compare
  }
  chain compare {
    meta mark 0xc0a5a5a5 ct mark & 0xc0ffffff == 0x805a5a5a counter name kept return
    counter name changed
  }
}`

t.test(
  'the service keeps the bits of packet and connection marks that belong to other programs',
  async (t) => {
    const { web, client, mirror, close } = await createTopology()
    t.teardown(close)
    await Promise.all([serveHttp(web, 80), serveHttp(mirror, 80)])
    const settings = `mode: enforce\nmirrors: { hosts: ["${MIRROR.v4}", "${MIRROR.v6}"], ports: [80] }\n`
    const service = await Service.start(web, settings)
    t.teardown(() => service.remove())
    await web.run(['nft', '-f', '-'], { input: OTHERS })
    const packets = async (name: string) => {
      const { stdout } = await web.run(['nft', 'list', 'counter', 'inet', 'others', name])
      return Number(/packets (\d+)/.exec(stdout)![1])
    }

    for (const host of [MIRROR.v4, `[${MIRROR.v6}]`])
      t.equal((await httpGet(web, `http://${host}/`)).status, 200)
    t.ok((await packets('kept')) >= 6, 'handshake, request and end of two connections')
    t.equal(await packets('changed'), 0)

    t.not((await connect(web, VICTIM.v4, 80)).outcome, 'ok', 'a mark of another program allows nothing')
    t.equal((await httpGet(client, `http://${WEB.client.v4}/`)).status, 200)
    await service.kill()
    for (const host of [MIRROR.v4, `[${MIRROR.v6}]`])
      t.equal((await httpGet(web, `http://${host}/`)).status, 200)
    t.equal(await packets('changed'), 0, 'the fallback changes no bits either')
  },
)
