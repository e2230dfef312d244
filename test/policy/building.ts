/** Builds policies for tests of a host with a few facts, and judges packets by them. */
import type { Test } from 'tap'
import { IPPROTO_TCP, IPPROTO_UDP } from '../../src/core/packet/ip.js'
import { ntpRequest } from '../../src/core/packet/ntp.js'
import { Packet, TCPHDR_SYN } from '../../src/core/packet/packet.js'
import { isTimePort } from '../../src/core/policy/allowlist.js'
import { decide, type Policy } from '../../src/core/policy/policy.js'
import type { Rule } from '../../src/core/policy/rule.js'
import type { HostFacts } from '../../src/host/host-facts.js'
import { parseResolvConf } from '../../src/host/resolvers/resolv-conf.js'
import { otherServer } from '../../src/host/server-address.js'
import { buildPolicy, type NameKnowledge } from '../../src/policy/build-policy.js'
import { parseAddress } from '../../src/text/parse-address.js'
import { configOf, loadText } from '../config/files.js'
import { clients, EPHEMERAL_PORTS } from '../core/clients.js'

export const NOTHING: HostFacts = {
  name: 'web1',
  ephemeralPorts: EPHEMERAL_PORTS,
  resolvers: [],
  searchDomains: [],
  resolverUsers: [],
  timeServers: [],
  timeTlsServers: [],
  upstreams: [],
  ndots: 1,
  resolverNotes: [],
  updateUsers: [],
  dhcpUsers: [],
  timeUsers: [],
  mirrors: [],
}

export const HOST: HostFacts = {
  ...NOTHING,
  resolvers: parseResolvConf('nameserver 192.0.2.53\n'),
  timeServers: ['time.example.org', '192.0.2.123'].flatMap((each) => otherServer(each) ?? []),
  dhcpUsers: [0, 998],
  timeUsers: [0, 997],
}
/** NO_WAYS means that nothing has been learned. */
export const NO_WAYS: NameKnowledge = { targets: () => [], isWayTo: () => false }

/** Builds the policy of a configuration with these lines. */
export const policy = (t: Test, yaml: string, host = HOST, ways = NO_WAYS): Policy =>
  buildPolicy(configOf(loadText(t, yaml)), host, ways)

export const find = ({ rules }: Policy, name: string): Rule['spec'] | undefined =>
  rules.find((rule) => rule.spec.name === name)?.spec

export const names = ({ rules }: Policy) => rules.map(({ spec }) => spec.name)

/** Judges one packet, and returns the reason. */
export function judge(
  policy: Policy,
  to: string,
  port: number,
  given: { uid?: number; udp?: boolean; from?: number; unit?: string } = {},
) {
  const address = parseAddress(to)
  if (!address.ok) throw new Error(address.reason)
  const packet = Object.assign(new Packet(), {
    isWhole: true,
    family: address.value.family,
    protocol: given.udp ? IPPROTO_UDP : IPPROTO_TCP,
    sourcePort: given.from ?? 40000,
    destinationPort: port,
    tcpFlags: given.udp ? 0 : TCPHDR_SYN,
  })
  packet.destination.set(address.value.words)
  if (isTimePort(policy, port)) packet.bytes = ntpRequest()
  packet.payloadEnd = packet.bytes.length
  const isOf = (units: readonly string[]) => units.includes(given.unit ?? '')
  const sender = {
    uid: given.uid ?? 0,
    known: false,
    isReply: false,
    isForeign: false,
    isQuarantined: false,
    device: 0,
    isOf,
  }
  return decide(policy, packet, sender, clients(), Date.now()).reason
}
