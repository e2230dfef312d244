/** A web server that asks a resolver in the mirror's place, for tests of names. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encode, RECURSION_DESIRED } from 'dns-packet'
import type { Test } from 'tap'
import { createRepository } from '../lab/apt.js'
import type { Namespace } from '../lab/namespace.js'
import { createTopology, MIRROR, type Topology } from '../lab/topology.js'
import { serveHttp } from '../lab/traffic.js'
import type { DatagramPlan } from './programs/datagrams.js'
import { NODE, Service } from './service.js'

export const NAME = 'mirror.example.org'
export const SUITE = 'stable'
export const PROBE = { name: 'checkvalve-probe', version: '1.0' }
/** Some address of those that the victims answer for. */
export const ELSEWHERE = '203.0.113.66'

/** A question that is lost is asked again after 1, 2, 4, 8 seconds. */
const PATIENT = 'timeout:1 attempts:5'

/** Web asks the mirror's name server. The mirror and every other address have a web server. */
export async function createLab(t: Test, options = PATIENT): Promise<Topology> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions ${options}\n`)
  await serveHttp(lab.victims, 80)
  return lab
}

/** The service, at whose root apt's files may be; a folder that every user may enter. */
export async function guard(t: Test, { web }: Topology, settings: string): Promise<Service> {
  const service = Service.prepare(web, `mode: enforce\n${settings}`)
  t.teardown(() => service.remove())
  chmodSync(service.folder, 0o755)
  mkdirSync(service.root)
  return service
}

/** A repository with one small package. */
export async function repository(t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-repository-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  await createRepository(folder, { suite: SUITE, packages: [PROBE] })
  return folder
}

export const sourcesOf = (host: string) => `deb [trusted=yes] http://${host}/ ${SUITE} main\n`

/** A question for the addresses of a name. */
export const query = (name: string, id = 1): Buffer =>
  encode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type: 'A', name }] })

/** For so long after the service has died the kernel still takes it for alive: it cannot tell that from a full queue. */
export const TAKEN_FOR_ALIVE_MS = 6000

/** Sends datagrams, and tells what comes back; it ends by itself. See `DatagramPlan`. */
export function datagrams(place: Namespace, plan: DatagramPlan, user?: string) {
  const program = fileURLToPath(new URL('./programs/datagrams.js', import.meta.url))
  return place.spawn([...NODE, program, JSON.stringify(plan)], user === undefined ? {} : { user })
}
