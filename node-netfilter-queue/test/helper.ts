/**
 * Provides what the tests share: child processes in their own network namespace, traffic in it, a seeded
 * generator.
 */
import { execFileSync, spawn } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** Root of a user namespace with a single user counts as an ordinary user: it cannot become another one. */
const userMap = idMap('uid')
const severalUsers = userMap.length > 1 || userMap[0]![2]! > 1
export const isRoot = process.getuid?.() === 0 && severalUsers
/** Holds the ids of this user in the user namespace around this one. */
export const OUTER_UID = severalUsers ? process.getuid?.() : userMap[0]![1]
export const OUTER_GID = severalUsers ? process.getgid?.() : idMap('gid')[0]![1]

/** Returns the lines "inside outside count" of the id map (user_namespaces(7)). */
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

/** A test waits at most this long for a condition, in milliseconds; it is enough for the slowest machine. */
export const PATIENCE_MS = 120_000

/** Packets from this port are not queued: see Traffic.settle. */
const MARKER_PORT = 10

/** An address of the namespace's loopback device. */
export const HOST = '192.0.2.1'

export interface Outcome {
  code: number | null
  signal: NodeJS.Signals | null
  /** The value of the last line of standard output, parsed as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: each scenario reports what it likes
  report: any
  stderr: string
}

/** Runs one scenario in its own Node process, in a new network namespace; `prefix` is put before `node`. */
export function inNamespace(
  scenario: string,
  nodeOptions: string[] = [],
  prefix: string[] = [],
): Promise<Outcome> {
  const unshare = isRoot ? ['unshare', '--net'] : ['unshare', '-Urn']
  return run([...unshare, ...prefix, process.execPath, ...nodeOptions, SCENARIOS, scenario])
}

export function run(argv: string[]): Promise<Outcome> {
  // These children do not inherit the coverage and loader settings of the test runner.
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(argv[0]!, argv.slice(1), { env, timeout: PATIENCE_MS, killSignal: 'SIGKILL' })
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

/**
 * Brings the loopback device up with HOST on it, and queues its UDP packets to port 9. Markers are not
 * queued.
 */
export function setUp(queue = 5, options = ''): void {
  shell(`ip link set lo up; ip addr add ${HOST}/32 dev lo
    iptables -w -A OUTPUT -p udp --sport ${MARKER_PORT} -j ACCEPT
    iptables -w -A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num ${queue} ${options}`)
}

/**
 * Returns a generator of integers from 0 below `n`. Equal seeds give equal numbers (linear congruence modulo
 * 2^32).
 */
export function seeded(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

/** Sends one 32-bit number per packet, and notes which numbers arrived at port 9. */
export class Traffic {
  readonly arrived: number[] = []
  readonly #sender = createSocket('udp4')
  readonly #receiver = createSocket('udp4')
  readonly #marker = createSocket('udp4')
  #markers = 0

  static async open(): Promise<Traffic> {
    const traffic = new Traffic()
    await bound(traffic.#receiver, 9)
    await bound(traffic.#sender, 0)
    await bound(traffic.#marker, MARKER_PORT)
    traffic.#receiver.on('message', (message, { port }) => {
      if (port === MARKER_PORT) traffic.#markers++
      else traffic.arrived.push(message.readUInt32BE())
    })
    return traffic
  }

  /**
   * Sends all packets in one turn of the loop. A packet that is dropped at once fails to be sent; that is no
   * error here.
   */
  send(first: number, count = 1): void {
    for (let n = first; n < first + count; n++) {
      const payload = Buffer.alloc(4)
      payload.writeUInt32BE(n)
      this.#sender.send(payload, 9, HOST, () => {})
    }
  }

  /**
   * Waits until every packet that was sent and judged has arrived or is lost: later packets arrive after
   * them.
   */
  async settle(): Promise<void> {
    for (let marker = 0; marker < 3; marker++) {
      const before = this.#markers
      this.#marker.send('marker', 9, HOST, () => {})
      await until(() => this.#markers > before, 'the marker arrived')
    }
  }

  unref(): void {
    this.#marker.unref()
    this.#sender.unref()
    this.#receiver.unref()
  }

  close(): void {
    this.#marker.close()
    this.#sender.close()
    this.#receiver.close()
  }
}

const bound = (socket: Socket, port: number) =>
  new Promise<void>((resolve) => socket.bind(port, HOST, () => resolve()))

/** Waits until the condition holds. @throws Error when that takes longer than PATIENCE_MS */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; !condition(); ) {
    if (Date.now() > end) throw new Error(`timed out before ${what}`)
    await sleep(5)
  }
}
