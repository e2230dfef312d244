/** Makes a web server whose resolver is in the mirror's namespace, for tests of names. */
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
/** An address that the victims' namespace answers for. */
export const ELSEWHERE = '203.0.113.66'

/** Options of resolv.conf: a lost query is sent again after 1, 2, 4 and 8 seconds. */
const PATIENT = 'timeout:1 attempts:5'

/** Makes a lab whose web server uses the mirror's name server. Every address of the victims serves HTTP. */
export async function createLab(t: Test, options = PATIENT): Promise<Topology> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions ${options}\n`)
  await serveHttp(lab.victims, 80)
  return lab
}

/** Prepares a service with an empty root for apt's files, in a folder that every user may enter. */
export async function guard(t: Test, { web }: Topology, settings: string): Promise<Service> {
  const service = Service.prepare(web, `mode: enforce\n${settings}`)
  t.teardown(() => service.remove())
  chmodSync(service.folder, 0o755)
  mkdirSync(service.root)
  return service
}

/** Makes a repository with one small package. @returns its folder */
export async function repository(t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-repository-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  await createRepository(folder, { suite: SUITE, packages: [PROBE] })
  return folder
}

export const sourcesOf = (host: string) => `deb [trusted=yes] http://${host}/ ${SUITE} main\n`

/** Returns a DNS query for the IPv4 addresses of a name. */
export const query = (name: string, id = 1): Buffer =>
  encode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type: 'A', name }] })

/**
 * How long the kernel takes a dead service for alive, in milliseconds: at first it cannot distinguish it from
 * a full queue.
 */
export const TAKEN_FOR_ALIVE_MS = 6000

/** Starts a program that sends datagrams, prints what comes back, and ends by itself. See `DatagramPlan`. */
export function datagrams(place: Namespace, plan: DatagramPlan, user?: string) {
  const program = fileURLToPath(new URL('./programs/datagrams.js', import.meta.url))
  return place.spawn([...NODE, program, JSON.stringify(plan)], user === undefined ? {} : { user })
}
