/** Other firewalls on the host load, flush and reload their rules; the promise is that none of that lets a worm out for longer than the rules need to come back. */
import type { Test } from 'tap'
import { arrivals, METRICS, until, untilBooted, untilProven, works, wormsLive } from './host.js'
import type { Machine, Suite } from './machine.js'

/** What takes all rules of the kernel away, those of checkvalve among them. */
const FLUSHES = [
  'nft flush ruleset',
  'systemctl start nftables',
  'systemctl reload nftables',
  'systemctl restart nftables',
  'systemctl stop nftables',
  'nft delete table inet checkvalve',
]

/** What loads rules of its own, and leaves those of others alone. */
const OTHERS: Readonly<Record<Suite, readonly string[]>> = {
  bookworm: ['ufw allow 80/tcp', 'ufw --force enable', 'ufw reload', 'ufw disable'],
  trixie: [
    'systemctl start firewalld && firewall-cmd --permanent --add-service=http && firewall-cmd --reload',
    'systemctl restart firewalld',
    'systemctl stop firewalld',
  ],
}

/** The rules that Docker loads at its start, with iptables of each kind. */
const docker = (iptables: string) => `ip link show docker0 >/dev/null 2>&1 || ip link add docker0 type bridge
${iptables}-restore --noflush <<'END'
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 198.18.5.0/24 ! -o docker0 -j MASQUERADE
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-I OUTPUT -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
COMMIT
END`

/** Prints how often the service has put its rules back. */
const RESTORATIONS = `${METRICS} | sed -n 's/^checkvalve_ruleset_restored_total //p'`

export async function firewalls(t: Test, machine: Machine, suite: Suite): Promise<void> {
  await wormsLive(t, machine)
  for (const flush of FLUSHES) {
    const restored = Number(await machine.do(RESTORATIONS))
    await machine.do(flush, 600)
    await until(machine, `the rules are back after ${flush}`, 'nft list table inet checkvalve >/dev/null')
    await until(machine, 'the restoration is counted', `[ "$(${RESTORATIONS})" -gt ${restored} ]`)
    const before = await arrivals(machine)
    await machine.do('sleep 3')
    t.same(await arrivals(machine), before, `${flush}: nothing arrives once the rules are back`)
  }
  await works(t, machine, 'after all rules were taken away')

  const loads = new Map(OTHERS[suite].map((command) => [command, command]))
  for (const iptables of ['iptables-nft', 'iptables-legacy'])
    loads.set(`Docker by ${iptables}`, docker(iptables))
  for (const [name, command] of loads) {
    const before = await arrivals(machine)
    await machine.do(command, 600)
    await works(t, machine, `after ${name}`)
    t.same(await arrivals(machine), before, `${name}: nothing arrives`)
  }
  await machine.do(
    'for of in nft legacy; do iptables-$of -F; iptables-$of -t nat -F; done; ip link del docker0',
  )

  // At the boot each of them loads its rules, and nftables.service flushes all others first.
  const units = suite === 'bookworm' ? 'nftables ufw' : 'nftables firewalld'
  await machine.do(`systemctl -q enable ${units}${suite === 'bookworm' ? '; ufw --force enable' : ''}`, 600)
  const before = await arrivals(machine)
  await machine.reboot()
  await untilProven(machine)
  await untilBooted(machine)
  await works(t, machine, `after a boot with ${units}`)
  t.same(await arrivals(machine), before, `a boot with ${units}: nothing arrives`)
  await machine.do(
    `systemctl -q disable --now ${units}${suite === 'bookworm' ? '; ufw disable' : ''}; nft list table inet checkvalve >/dev/null || systemctl restart checkvalve`,
    600,
  )
  await untilProven(machine)
}
