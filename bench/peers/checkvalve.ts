/** checkvalve itself as a peer, with everything on: metrics, log, attribution. */
import type { Namespace } from '../../test/lab/namespace.js'
import { kernelCount, Service } from '../../test/netns/service.js'
import { allowed, FAST_PORT, type Guard, MIRRORS, type Peer, type Policy } from './peer.js'

/** Returns the settings for a policy, as YAML. */
export function settingsFor({ block, prefixes }: Policy): string {
  const to = Array.from({ length: prefixes }, (_, i) => allowed(i)).join(', ')
  return `mode: enforce
block: ${block}
infrastructure: { dns: [], ntp: [], dhcp: false }
mirrors: { discover: false, hosts: ["${MIRRORS.join('", "')}"], ports: [80, ${FAST_PORT}] }
${prefixes === 0 ? '' : `allow: [{ name: many, to: [${to}] }]\n`}`
}

export const checkvalve: Peer = {
  name: 'checkvalve',
  start: async (web, policy) => guardOf(web, await Service.start(web, settingsFor(policy))),
}

function guardOf(web: Namespace, service: Service): Guard {
  return {
    pid: service.program.pid,
    service,
    refused: () => kernelCount(web, 'blocked'),
    stop: () => service.remove(),
  }
}
