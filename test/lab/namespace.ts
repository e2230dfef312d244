/**
 * Gives tests a network of their own: an unnamed network and mount namespace, held by a child process that
 * ends with this process. Nothing is written to the host, so that nothing can be left behind.
 *
 * Needs root, or an ordinary user inside `unshare --user --map-root-user --mount`.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import { ended, type Result, type RunOptions, run } from './command.js'
import { Program } from './program.js'
import { HOLD, PUT_FILE } from './scripts.js'
import { canSwitchUsers, idsOf } from './users.js'

export interface SpawnOptions {
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: NodeJS.ProcessEnv
  /** The user to run as, with its own group and no others: `www-data`. See `canSwitchUsers`. */
  readonly user?: string
  /** Whether the program has a standard input: see Program.write. */
  readonly stdin?: boolean
}

export class Namespace {
  /** The kernel's name of the namespace: `net:[4026532201]`. */
  readonly identity: string
  readonly #programs = new Set<Program>()
  #closed: Promise<void> | undefined

  private constructor(
    readonly name: string,
    readonly holder: ChildProcess,
  ) {
    this.identity = readlinkSync(`/proc/${this.pid}/ns/net`)
  }

  /** Makes a namespace whose only interface is `lo`, which is up. `name` is for messages only. */
  static async create(name: string): Promise<Namespace> {
    // `detached`: in a session of its own, the holder survives Ctrl-C, and can end the other programs.
    const holder = spawn('unshare', ['--net', '--mount', 'sh', '-c', HOLD], { detached: true })
    await ready(name, holder)
    return new Namespace(name, holder)
  }

  /** The id of the process that holds the namespace, for `nsenter --target` and `ip ... netns`. */
  get pid(): number {
    return this.holder.pid!
  }

  /** Runs a command in the namespace to its end. Fails as `run` of command.ts does. */
  run(argv: readonly string[], options: RunOptions & SpawnOptions = {}): Promise<Result> {
    return run(this.name, this.#enter(argv, options.user), options)
  }

  /** Starts a program in the namespace; `close` ends it. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): Program {
    const [file = '', ...args] = this.#enter(argv, options.user)
    const child = spawn(file, args, {
      env: { ...process.env, ...options.env },
      stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    })
    const program = new Program(`${this.name}: ${argv.join(' ')}`, child)
    this.#programs.add(program)
    const forget = () => this.#programs.delete(program)
    program.exited.then(forget, forget)
    return program
  }

  /**
   * Runs commands of ip(8), without the word `ip`, in one batch: `ip('link set eth0 up', 'route add ...')`.
   */
  async ip(...commands: string[]): Promise<void> {
    await this.run(['ip', '-batch', '-'], { input: `${commands.join('\n')}\n` })
  }

  /** Gives a device addresses: `address('eth0', '198.51.100.1/24', '2001:db8:51::1/64')`. */
  address(device: string, ...addresses: string[]): Promise<void> {
    const flags = (address: string) => (address.includes(':') ? ' nodad' : '')
    return this.ip(...addresses.map((address) => `address add ${address} dev ${device}${flags(address)}`))
  }

  /** Adds routes, each in the syntax of ip-route(8): `route('default via 203.0.113.1')`. */
  route(...routes: string[]): Promise<void> {
    return this.ip(...routes.map((route) => `route add ${route}`))
  }

  /** Sets a kernel variable of this namespace: `sysctl('net.ipv4.ip_forward', 1)`. */
  async sysctl(name: string, value: string | number): Promise<void> {
    const path = `/proc/sys/${name.replaceAll('.', '/')}`
    await this.run(['sh', '-c', 'cat > "$1"', 'sysctl', path], { input: `${value}\n` })
  }

  /** Replaces a file for the programs of this namespace: `file('/etc/resolv.conf', ...)`. */
  async file(path: string, contents: string): Promise<void> {
    await this.run(['sh', '-c', PUT_FILE, 'file', path], { input: contents })
  }

  /** Ends all programs of the namespace, and with them the namespace. It may be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    await Promise.allSettled([...this.#programs].map((program) => program.stop()))
    if (this.holder.exitCode !== null || this.holder.signalCode !== null) return
    const gone = ended(this.holder)
    this.holder.ref()
    this.holder.stdin!.end()
    await gone
  }

  /**
   * Returns the command line that runs a program in the namespace. `ip netns exec` would mount a new /sys.
   * `--wd` keeps the working directory.
   */
  #enter(argv: readonly string[], user: string | undefined): string[] {
    const enter = ['nsenter', '--target', `${this.pid}`, '--net', '--mount', '--wd', '--']
    if (user === undefined) return [...enter, ...argv]
    if (!canSwitchUsers()) throw new Error(`${this.name}: cannot become ${user}: only one user exists here`)
    const { uid, gid } = idsOf(user)
    return [...enter, 'setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--', ...argv]
  }
}

/** Connects two namespaces by a veth pair, made in place, with both ends up. */
export async function link(a: Namespace, aDevice: string, b: Namespace, bDevice: string): Promise<void> {
  await a.ip(`link add ${aDevice} type veth peer name ${bDevice} netns ${b.pid}`, `link set ${aDevice} up`)
  await b.ip(`link set ${bDevice} up`)
}

/** Waits until the holder prints `ready`, and then lets this process end without waiting for it. */
function ready(name: string, holder: ChildProcess): Promise<void> {
  let complaint = ''
  holder.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    complaint += chunk
  })
  holder.stdin!.on('error', () => {})
  return new Promise((resolve, reject) => {
    const fail = () =>
      reject(new Error(`${name}: no namespace (root, or unshare -Urm, is needed)\n${complaint}`.trimEnd()))
    holder.once('error', reject)
    holder.once('close', fail)
    holder.stdout!.once('data', () => {
      holder.off('close', fail)
      for (const pipe of [holder.stdin, holder.stdout, holder.stderr]) (pipe as unknown as Socket).unref()
      holder.unref()
      resolve()
    })
  })
}
