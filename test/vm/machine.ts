/**
 * Emulated machines with a stock Debian, for what a namespace cannot show: systemd, the boot, the kernel of a distribution.
 * An agent in the machine runs scripts that it gets by a serial line; the machine has no network but what it makes itself.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Emulation is 10 to 100 times slower than a server: nothing here is a measure of speed. */
const BOOT_MS = 600_000
const SCRIPT_S = 300
const MEMORY_MIB = 1536

export type Suite = 'bookworm' | 'trixie'

export interface ScriptResult {
  readonly status: number
  /** Standard output and error. */
  readonly output: string
}

export interface MachineOptions {
  readonly suite: Suite
  /** The folder with the images of build-image. */
  readonly images: string
  /** A tar file that the machine finds as /dev/vdb. */
  readonly payload: string
}

/** One machine, with a disk of its own over the image. */
export class Machine {
  readonly #options: MachineOptions
  readonly #folder = mkdtempSync(join(tmpdir(), 'checkvalve-vm-'))
  #process: ChildProcess | undefined
  #line: AgentLine | undefined

  private constructor(options: MachineOptions) {
    this.#options = options
  }

  /** Makes a machine, boots it, and waits for its agent. @throws Error (rejects) when qemu ends or the boot takes too long */
  static async create(options: MachineOptions): Promise<Machine> {
    const machine = new Machine(options)
    const { images, suite } = options
    const base = join(images, `${suite}.ext4`)
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, machine.#disk])
    await machine.boot()
    return machine
  }

  /** Boots a machine that is off. */
  async boot(): Promise<void> {
    const child = spawn('qemu-system-x86_64', this.#arguments(), { stdio: ['ignore', 'ignore', 'pipe'] })
    let complaint = ''
    child.stderr.on('data', (data) => {
      complaint += data
    })
    this.#process = child
    this.#line = await AgentLine.open(this.#socket, () => {
      if (child.exitCode !== null) throw new Error(`qemu ended with ${child.exitCode}: ${complaint}`)
    })
    await this.#line.ready(BOOT_MS)
  }

  /** Runs a script of bash as root. @param seconds its limit */
  run(script: string, seconds = SCRIPT_S): Promise<ScriptResult> {
    return this.#line!.run(script, seconds)
  }

  /** Runs a script that has to succeed. @returns its output @throws Error (rejects) */
  async do(script: string, seconds?: number): Promise<string> {
    const { status, output } = await this.run(script, seconds)
    if (status !== 0) throw new Error(`${script}\nended with ${status}:\n${output}`)
    return output.trim()
  }

  /** Restarts the machine in good order, and waits for its agent. */
  async reboot(): Promise<void> {
    await this.run('sync; systemctl reboot', 60).catch(() => {})
    await this.#line!.ready(BOOT_MS)
  }

  /** Ends the machine as a power cut does: what is not on its disk is lost. */
  async cutPower(): Promise<void> {
    this.#line?.close()
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  /** Ends the machine, and removes its disk. */
  async close(): Promise<void> {
    await this.cutPower()
    rmSync(this.#folder, { recursive: true })
  }

  /** What the machine wrote on its console. */
  get console(): string {
    const path = join(this.#folder, 'console')
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  get #disk(): string {
    return join(this.#folder, 'disk.qcow2')
  }

  get #socket(): string {
    return join(this.#folder, 'agent')
  }

  #arguments(): string[] {
    const { images, suite, payload } = this.#options
    const image = join(images, suite)
    // `-accel` alone: with `accel=` of `-machine` beside it, qemu ends at once.
    return [
      ...[
        '-machine',
        'q35',
        '-cpu',
        'max',
        '-accel',
        'tcg,thread=multi',
        '-smp',
        '2',
        '-m',
        String(MEMORY_MIB),
      ],
      ...['-nic', 'none', '-display', 'none', '-monitor', 'none'],
      ...['-kernel', `${image}.vmlinuz`, '-initrd', `${image}.initrd`, '-append', KERNEL_ARGUMENTS],
      // A power cut must lose what was not synced, and keep what was.
      ...['-drive', `file=${this.#disk},if=virtio,format=qcow2,cache=writeback`],
      ...['-drive', `file=${payload},if=virtio,format=raw,readonly=on`],
      ...['-serial', `file:${join(this.#folder, 'console')}`],
      ...['-chardev', `socket,id=agent,path=${this.#socket},server=on,wait=off`, '-serial', 'chardev:agent'],
    ]
  }
}

const KERNEL_ARGUMENTS = 'root=/dev/vda rw console=ttyS0 quiet loglevel=4 net.ifnames=0 systemd.show_status=0'

/** The serial line to the agent. Each answer repeats a number, since one to an earlier script may come late. */
class AgentLine {
  readonly #socket: Socket
  #text = ''
  #number = 0
  /** The id of the boot that was ready last. */
  #boot = ''

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1').on('data', (text) => {
      this.#text += text
    })
    socket.on('error', () => {})
  }

  /** @param check throws when the machine has ended */
  static async open(path: string, check: () => void): Promise<AgentLine> {
    for (let waited = 0; ; waited += 100) {
      check()
      try {
        const socket = connect(path)
        await once(socket, 'connect')
        return new AgentLine(socket)
      } catch (error) {
        if (waited > 30_000) throw error
        await sleep(100)
      }
    }
  }

  /** Waits until the agent of a booted machine answers. */
  async ready(ms: number): Promise<void> {
    const end = performance.now() + ms
    while (performance.now() < end) {
      // The agent of the system that goes down may answer: each boot has an id of its own.
      const result = await this.run('cat /proc/sys/kernel/random/boot_id', 5, 10_000).catch(() => undefined)
      if (result?.status === 0 && result.output.trim() !== this.#boot) {
        this.#boot = result.output.trim()
        return
      }
      await sleep(1000)
    }
    throw new Error(`the machine's agent does not answer within ${ms / 1000} s`)
  }
  /** @param patience milliseconds for the answer, beyond the script's own time */
  async run(script: string, seconds: number, patience = 240_000): Promise<ScriptResult> {
    const number = `${process.pid}-${++this.#number}`
    const text = Buffer.from(`echo ${number}\n${script}\n`).toString('base64')
    this.#text = ''
    this.#socket.write(`EXEC ${seconds}\n${text}\n`)
    const end = performance.now() + seconds * 1000 + patience
    while (performance.now() < end) {
      for (const [, status, answer] of this.#text.matchAll(/^DONE (\d+) (\S*)\n/gm)) {
        const output = Buffer.from(answer!, 'base64').toString()
        if (output.startsWith(`${number}\n`))
          return { status: Number(status), output: output.slice(number.length + 1) }
      }
      await sleep(50)
    }
    throw new Error(`no answer to: ${script}`)
  }

  close(): void {
    this.#socket.destroy()
  }
}
