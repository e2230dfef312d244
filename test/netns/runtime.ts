/** Sets up a guarded web server, and sends requests of its operator, for tests of changes at run time. */
import { join } from 'node:path'
import type { Test } from 'tap'
import { ask } from '../../src/control/client.js'
import type { Route } from '../../src/control/router.js'
import type { EntryList } from '../../src/control/routes/runtime.js'
import type { Status } from '../../src/telemetry/status.js'
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { createTopology, MIRROR, type Topology, VICTIM } from '../lab/topology.js'
import { connect, serveHttp } from '../lab/traffic.js'
import { eventually, NODE, PATIENCE_MS, Service } from './service.js'

export const ENFORCE = `mode: enforce
infrastructure: { dns: [${MIRROR.v4}], ntp: [] }
mirrors: { hosts: ["${MIRROR.v4}"], ports: [80] }
canary: { interval: 1s }
`
export const [ONE, OTHER, THIRD] = [VICTIM.v4, '203.0.113.2', '203.0.113.3']

export async function guarded(t: Test, settings = ENFORCE): Promise<[Topology, Service]> {
  const lab = await createTopology()
  t.teardown(() => lab.close())
  await lab.web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\noptions timeout:1 attempts:5\n`)
  await Promise.all([serveHttp(lab.victims, 80), serveHttp(lab.mirror, 80)])
  const service = await Service.start(lab.web, settings)
  t.teardown(() => service.remove())
  return [lab, service]
}

/** Runs a command, which must succeed. @returns what it prints */
export async function runCommand(service: Service, ...words: string[]): Promise<string> {
  const { stdout, stderr, status } = await service.command(...words)
  if (status !== 0) throw new Error(`${words.join(' ')}: ${status}: ${stderr}`)
  return stdout
}

/**
 * Returns whether a connection succeeds.
 * @param timeout milliseconds: while the service is dead, a blocked connection is not refused but times out
 */
export const isOpen = async (web: Namespace, host: string, port = 80, timeout = PATIENCE_MS) =>
  (await connect(web, host, port, { timeout })).outcome === 'ok'

/** Sends a request to the control socket, which is faster than a command. */
export const request = <T>(service: Service, method: Route['method'], path: string, body?: unknown) =>
  ask<T>(join(service.folder, 'control.sock'), method, path, body)

export const namesOf = async (service: Service) =>
  (await request<EntryList>(service, 'GET', '/v1/allow')).entries.map(({ name }) => name)

export const statusOf = (service: Service) => request<Status>(service, 'GET', '/v1/status')

/**
 * TALK HOST...: keeps a connection to each host, repeats a request on it, and prints the host of each answer.
 */
const TALK = `const net = require('node:net')
for (const host of process.argv.slice(1)) {
  const socket = net.connect(80, host, () => ask())
  const ask = () => socket.write('GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
  socket.on('data', () => { console.log('<' + host + '>'); setTimeout(ask, 50) })
  socket.on('error', () => {})
}`

/** Counts the answers of each host to a program that runs TALK. */
export class Talk {
  constructor(readonly program: Program) {}

  static to(web: Namespace, ...hosts: string[]): Talk {
    return new Talk(web.spawn([...NODE, '-e', TALK, ...hosts]))
  }

  answers(host: string): number {
    return this.program.stdout.split(`<${host}>`).length - 1
  }

  /**
   * Waits for another answer of a host.
   * @returns whether it came before `end` (milliseconds since the epoch)
   */
  async waitForAnswer(host: string, end = Number.POSITIVE_INFINITY): Promise<boolean> {
    const before = this.answers(host)
    const answers = () => this.answers(host) > before + 1
    await eventually(`${host} answers`, () => answers() || Date.now() >= end)
    return answers()
  }

  /** Asserts that no more answers come from a host, while those of the other continue. */
  async assertCutOff(t: Test, host: string, other: string): Promise<void> {
    const before = this.answers(host)
    for (let i = 0; i < 5; i++) await this.waitForAnswer(other)
    t.ok(this.answers(host) <= before + 1, `no more answers of ${host}`)
  }
}
