/** What the tests share: children in a network namespace of their own, traffic in it, a seeded generator. */
import { execFileSync, spawn } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** Root of a user namespace with a single user counts as that user: it cannot become another one. */
const userMap = idMap('uid')
const severalUsers = userMap.length > 1 || userMap[0]![2]! > 1
export const isRoot = process.getuid?.() === 0 && severalUsers
/** The ids of this user in the user namespace around this one. */
export const OUTER_UID = severalUsers ? process.getuid?.() : userMap[0]![1]
export const OUTER_GID = severalUsers ? process.getgid?.() : idMap('gid')[0]![1]

/** Lines of "inside outside count" (user_namespaces(7)). */
function idMap(kind: 'uid' | 'gid'): number[][] {
  const lines = readFileSync(`/proc/self/${kind}_map`, 'utf8').trim().split('\n')
  return lines.map((line) => line.trim().split(/\s+/).map(Number))
}

/** Runs a program without any capability. */
export const WITHOUT_CAPABILITIES = isRoot
  ? ['unshare', '--net', 'setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']
  : process.getuid?.() === 0
    ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all']
    : []
export const SCENARIOS = fileURLToPath(new URL('scenarios.js', import.meta.url))

/** An address of the namespace's loopback device. */
export const HOST = '192.0.2.1'

export interface Outcome {
  code: number | null
  signal: NodeJS.Signals | null
  /** The last line of standard output, as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: each scenario reports what it likes
  report: any
  stderr: string
}

/** Runs one scenario in a Node of its own, in a new network namespace; `prefix` is put before `node`. */
export function inNamespace(
  scenario: string,
  nodeOptions: string[] = [],
  prefix: string[] = [],
): Promise<Outcome> {
  const unshare = isRoot ? ['unshare', '--net'] : ['unshare', '-Urn']
  return run([...unshare, ...prefix, process.execPath, ...nodeOptions, SCENARIOS, scenario])
}

export function run(argv: string[]): Promise<Outcome> {
  // The coverage and loader settings of the test runner are not for these children.
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(argv[0]!, argv.slice(1), { env, timeout: 120_000, killSignal: 'SIGKILL' })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data) => (stdout += data))
  child.stderr.on('data', (data) => (stderr += data))
  return new Promise((resolve) =>
    child.on('close', (code, signal) => {
      const last = stdout.trim().split('\n').at(-1)
      resolve({ code, signal, report: last ? JSON.parse(last) : undefined, stderr })
    }),
  )
}

/** Runs commands in the namespace that this process is in. */
export const shell = (commands: string): string => execFileSync('sh', ['-ec', commands], { encoding: 'utf8' })

/** Brings the loopback device up with HOST on it, and queues its UDP to port 9 to the queue. */
export function setUp(queue = 5, options = ''): void {
  shell(`ip link set lo up; ip addr add ${HOST}/32 dev lo
    iptables -w -A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num ${queue} ${options}`)
}

/** A generator of integers from 0 below `n`, the same for the same seed (a linear congruence modulo 2^32). */
export function seeded(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

/** Sends a 32-bit number a packet, and notes which numbers arrived at port 9. */
export class Traffic {
  readonly arrived: number[] = []
  readonly #sender = createSocket('udp4')
  readonly #receiver = createSocket('udp4')

  static async open(): Promise<Traffic> {
    const traffic = new Traffic()
    await bound(traffic.#receiver, 9)
    await bound(traffic.#sender, 0)
    traffic.#receiver.on('message', (message) => traffic.arrived.push(message.readUInt32BE()))
    return traffic
  }

  /** All of them in one turn of the loop; a packet that is dropped at once fails to be sent, which is no error here. */
  send(first: number, count = 1): void {
    for (let n = first; n < first + count; n++) {
      const payload = Buffer.alloc(4)
      payload.writeUInt32BE(n)
      this.#sender.send(payload, 9, HOST, () => {})
    }
  }

  unref(): void {
    this.#sender.unref()
    this.#receiver.unref()
  }

  close(): void {
    this.#sender.close()
    this.#receiver.close()
  }
}

const bound = (socket: Socket, port: number) =>
  new Promise<void>((resolve) => socket.bind(port, HOST, () => resolve()))

/** Waits until it holds, for half a minute at most. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 30_000) throw new Error(`waited in vain until ${what}`)
    await sleep(5)
  }
}

/** Waits a moment for what must not happen. What must happen is waited for by `until`. */
export const settle = () => sleep(100)
