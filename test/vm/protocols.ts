/** What a stock kernel offers to a program without privileges, beside TCP and UDP: nothing of it gets out. */
import type { Test } from 'tap'
import { arrivals, configure, untilProven } from './host.js'
import type { Machine } from './machine.js'

/** Attacks: guest/protocols.c says which ways the kernel opened. */
const attack = 'runuser -u www-data -- timeout 240 /opt/guest/protocols'

export async function protocols(t: Test, machine: Machine): Promise<void> {
  // Devices of a VRF, and of tunnels to the victims: the packets that carry what goes into them have no user.
  await machine.do(`ip link add vrf-lab type vrf table 77 && ip link set vrf-lab up
    ip route add default via 203.0.113.1 dev to-victims onlink src 203.0.113.254 table 77
    ip link add gre-lab type gre local 203.0.113.254 remote 203.0.113.1 && ip link set gre-lab up
    ip link add wg-lab type wireguard && ip addr add 198.18.7.1/24 dev wg-lab
    wg set wg-lab private-key <(wg genkey) peer "$(wg genkey | wg pubkey)" endpoint 203.0.113.1:51820 allowed-ips 0.0.0.0/0
    ip link set wg-lab up`)
  for (const state of ['alive', 'dead'] as const) {
    if (state === 'dead') {
      await configure(machine, 'onStop: keep\n', 'stop')
      await machine.do('systemctl stop checkvalve')
    }
    const before = await arrivals(machine)
    const said = await machine.do(attack, 300)
    for (const line of said.split('\n')) t.comment(`${state}: ${line}`)
    t.match(said, /^udp: opened$/m, 'the attack was at work')
    t.match(said, /^device: vrf-lab$/m)
    t.match(said, /^device: gre-lab$/m)
    t.match(said, /^device: wg-lab$/m)
    t.same(await arrivals(machine), before, `nothing arrives while the service is ${state}`)
  }
  await machine.do('systemctl start checkvalve')
  await untilProven(machine)
  // Without the valve the same attack gets out: what did not arrive was blocked.
  await machine.do('checkvalve mode observe')
  await machine.do(attack, 300)
  const arrived = await machine.do(`awk '{ print $2 }' /var/lib/arrivals | sort -un | tr '\n' ' '`)
  for (const [protocol, name] of [
    [115, 'L2TP'],
    [132, 'SCTP'],
    [136, 'UDP-Lite'],
    [47, 'GRE'],
  ] as const)
    t.ok(arrived.split(' ').includes(String(protocol)), `in mode observe ${name} arrives`)
  await machine.do('checkvalve mode enforce')
  await machine.do('ip link del vrf-lab; ip link del gre-lab; ip link del wg-lab')
  await untilProven(machine)
}
