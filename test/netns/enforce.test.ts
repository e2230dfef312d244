import t from 'tap'
import { MIRROR, VICTIM, WEB } from '../lab/topology.js'
import { connect, httpGet, serveHttp, worm } from '../lab/traffic.js'
import { canSwitchUsers } from '../lab/users.js'
import { createLab, Guard, MIRRORS, WORM } from './guard.js'

const lab = await createLab(t)
const { web, client } = lab
const guard = await Guard.start(web, lab.site(MIRRORS))

/** A refusal by the kernel reaches the program as one of these at once; in silence it waits for its timeout. */
const REFUSED = /^(EHOSTUNREACH|EACCES)$/
const AT_ONCE_MS = 500

t.test('clients are served, by IPv4 and by IPv6', async (t) => {
  t.match(await httpGet(client, `http://${WEB.client.v4}/`), { outcome: 'ok', status: 200 })
  t.match(await httpGet(client, `http://[${WEB.client.v6}]/large?bytes=3000000`), {
    outcome: 'ok',
    bytes: 3e6,
  })
})

t.test('root reaches the mirror, by IPv4 and by IPv6', async (t) => {
  t.match(await httpGet(web, `http://${MIRROR.v4}/`), { outcome: 'ok', status: 200 })
  t.match(await httpGet(web, `http://[${MIRROR.v6}]/large?bytes=3000000`), { outcome: 'ok', bytes: 3e6 })
})

t.test('another port of the mirror is refused, and at once', async (t) => {
  await serveHttp(lab.mirror, 8080)
  for (const host of [MIRROR.v4, MIRROR.v6]) {
    const { outcome, ms } = await connect(web, host, 8080)
    t.match(outcome, REFUSED)
    t.ok(ms < AT_ONCE_MS, `after ${ms} ms`)
  }
})

t.test('the web server’s own user reaches no mirror', async (t) => {
  if (!canSwitchUsers()) return t.comment('left out: only one user exists here')
  for (const host of [MIRROR.v4, MIRROR.v6])
    t.match((await connect(web, host, 80, { user: 'www-data' })).outcome, REFUSED)
})

t.test('not one packet of a worm arrives', async (t) => {
  const { tcp4, tcp6, udp4, udp6 } = await worm(web, WORM, canSwitchUsers() ? 'www-data' : undefined)
  t.equal(tcp4.successes + tcp6.successes, 0)
  t.equal(tcp4.attempts + tcp6.attempts + udp4.attempts + udp6.attempts, 120)
  t.match(await lab.arrivals(), { total: 0 })
  for (const family of ['ipv4', 'ipv6'])
    for (const protocol of ['tcp', 'udp'])
      t.ok(
        (await guard.metric('packets_total', 'not-allowlisted', `"${family}"`, `"${protocol}"`)) >= 30,
        `every attempt by ${protocol} and ${family} was judged`,
      )
  if (canSwitchUsers()) t.match(guard.site.blocks()[0], { 'event.action': 'block' })
})

t.test('other programs’ bits of the marks stay as they were', async (t) => {
  // Every bit outside the mask 0x3f000000, set before the service sees the packet and compared after it.
  await web.run(['nft', '-f', '-'], {
    input: `table inet others {
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
    }`,
  })
  t.match(await httpGet(web, `http://${MIRROR.v4}/`), { status: 200 })
  t.match(await httpGet(web, `http://[${MIRROR.v6}]/`), { status: 200 })
  await connect(web, VICTIM.v4, 80)
  const packets = async (name: string) => {
    const { stdout } = await web.run(['nft', 'list', 'counter', 'inet', 'others', name])
    return Number(/packets (\d+)/.exec(stdout)![1])
  }
  t.ok((await packets('kept')) >= 6, 'handshake, request and end of two connections')
  t.equal(await packets('changed'), 0)
  await web.run(['nft', 'delete', 'table', 'inet', 'others'])
})

t.test('the host’s own rules still have a say on what is approved', async (t) => {
  const rule = ['OUTPUT', '-p', 'tcp', '--dport', '80', '-d', MIRROR.v4, '-j', 'DROP']
  await web.run(['iptables', '-A', ...rule])
  t.equal((await connect(web, MIRROR.v4, 80, { timeout: 500 })).outcome, 'timeout')
  t.match(await httpGet(web, `http://[${MIRROR.v6}]/`), { status: 200 })
  await web.run(['iptables', '-D', ...rule])
  t.match(await httpGet(web, `http://${MIRROR.v4}/`), { status: 200 })
})

t.test('with `block: drop` a blocked program hears nothing', async (t) => {
  await guard.reload(`${MIRRORS}block: drop\n`)
  for (const host of [VICTIM.v4, VICTIM.v6])
    t.equal((await connect(web, host, 80, { timeout: 500 })).outcome, 'timeout')
  t.match(await httpGet(web, `http://${MIRROR.v4}/`), { status: 200 })
  t.match(await httpGet(client, `http://${WEB.client.v4}/`), { status: 200 })
  t.match(await lab.arrivals(), { total: 0 })
})
