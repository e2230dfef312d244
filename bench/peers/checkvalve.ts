/** checkvalve itself as a peer, with everything on: metrics, log, attribution. */
import { mkdirSync, writeFileSync } from 'node:fs'
import type { Namespace } from '../../test/lab/namespace.js'
import { kernelCount, Service } from '../../test/netns/service.js'
import { allowed, FAST_PORT, type Guard, MIRRORS, type Peer, type Policy } from './peer.js'

/** A file of a configuration may have 1 MiB. */
const PREFIXES_A_FILE = 50_000

const settingsFor = ({ block }: Policy) => `mode: enforce
block: ${block}
infrastructure: { dns: [], ntp: [], dhcp: false }
mirrors: { discover: false, hosts: ["${MIRRORS.join('", "')}"], ports: [80, ${FAST_PORT}] }
`

/** Starts the service. @param settings further ones, as YAML */
export async function startService(web: Namespace, policy: Policy, settings = ''): Promise<Service> {
  const service = Service.prepare(web, settingsFor(policy) + settings)
  mkdirSync(`${service.folder}/conf.d`)
  for (let first = 0; first < policy.prefixes; first += PREFIXES_A_FILE) {
    const number = Math.min(PREFIXES_A_FILE, policy.prefixes - first)
    const to = Array.from({ length: number }, (_, i) => allowed(first + i)).join(', ')
    writeFileSync(`${service.folder}/conf.d/${first}.yaml`, `allow: [{ name: from${first}, to: [${to}] }]\n`)
  }
  await service.launch()
  return service
}

export const checkvalve: Peer = {
  name: 'checkvalve',
  start: async (web, policy) => guardOf(web, await startService(web, policy)),
}

function guardOf(web: Namespace, service: Service): Guard {
  return {
    pid: service.program.pid,
    service,
    refused: () => kernelCount(web, 'blocked'),
    stop: () => service.remove(),
  }
}
