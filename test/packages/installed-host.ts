/** A host of its own to install packages on: the programs of this one, and nothing else of it. */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Result, run } from '../lab/command.js'
import { canSwitchUsers } from '../lab/users.js'
import { OWN, temporaryFolder } from './packages.js'

/** What checkvalve needs, as a Debian has it. */
const DEBIAN = {
  libc6: '2.36',
  'libstdc++6': '12.2',
  nftables: '1.0.6',
  iptables: '1.8.9',
  passwd: '4.13',
  procps: '4.0.2',
  systemd: '252',
} as const

/**
 * Writes down with which words it was called. Units are enabled and disabled by the real one, in files; all of them
 * run.
 */
const SYSTEMCTL = `#!/bin/sh
case "$*" in
*preset*|*enable*|*disable*|*is-enabled*) SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl.real "$@" ;;
*is-active*) ;;
*) echo "$*" >>/calls ;;
esac
`

const MAKE = `cd "$1"
mkdir -p root/usr root/etc root/proc root/dev root/run root/tmp root/mnt usr work
mkdir -p root/var/lib/dpkg/info root/var/lib/dpkg/updates root/var/lib/dpkg/triggers root/var/log
for link in bin lib lib64 sbin; do if [ -L /$link ]; then ln -s usr/$link root/$link; fi; done
mount -t overlay -o lowerdir=/usr,upperdir=usr,workdir=work overlay root/usr
mount --bind /proc root/proc
for file in dev/null dev/urandom mnt/node/bin/node; do
  mkdir -p "root/\${file%/*}"
  touch root/$file
  mount --bind /$file root/$file
done
cp -R /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache /etc/alternatives root/etc/
touch root/etc/shadow root/etc/gshadow root/var/lib/dpkg/status
rm -f root/usr/sbin/policy-rc.d root/usr/bin/node root/usr/local/bin/node
ln -s /mnt/node/bin/node root/usr/bin/node`

const FIND = `cd "$1"; shift; find "$@" -not -type d -o -name '*checkvalve*'`

export interface HostOptions {
  /** The version of Debian's nodejs; without, it is not installed as a package. */
  readonly nodejs?: string
  /** Whether systemd runs. */
  readonly systemd?: boolean
}

export class InstalledHost {
  readonly root: string
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
    this.root = join(folder, 'root')
  }

  /** Makes a host that ends with the test. */
  static async create(t: Test, { nodejs, systemd = false }: HostOptions = {}): Promise<InstalledHost> {
    const folder = temporaryFolder()
    const host = new InstalledHost(folder)
    // Nothing is deleted, so that no file of this machine can be: the folder is in memory, and ends with the run.
    const mounts = ['mnt/node/bin/node', 'dev/null', 'dev/urandom', 'proc', 'usr'].map((path) =>
      host.path(path),
    )
    t.teardown(() => run('host', ['umount', '--lazy', ...mounts], { allowFailure: true }))
    await run('host', ['sh', '-euc', MAKE, 'sh', folder])
    for (const [name, version] of Object.entries(DEBIAN)) host.#install(name, version)
    if (nodejs !== undefined) host.#install('nodejs', nodejs)
    if (systemd) {
      await host.run('mkdir', '-p', '/run/systemd/system')
      await host.run('cp', '/usr/bin/systemctl', '/usr/bin/systemctl.real')
      host.writeProgram('/usr/bin/systemctl', SYSTEMCTL)
    }
    return host
  }

  /** Runs a command on the host, whatever its status. */
  run(...argv: readonly string[]): Promise<Result> {
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive' }
    return run('host', ['chroot', this.root, ...argv], { env, allowFailure: true })
  }

  /** Returns owner, group and mode of files, a line each. */
  async ownersOf(...paths: readonly string[]): Promise<string> {
    return (await this.run('stat', '-c', '%U:%G %a', ...paths)).stdout
  }

  dpkg(...args: readonly string[]): Promise<Result> {
    return run('host', ['dpkg', `--root=${this.root}`, ...args], { allowFailure: true })
  }

  writeProgram(path: string, text: string): void {
    const file = this.path(path)
    rmSync(file, { force: true })
    writeFileSync(file, text, { mode: 0o755 })
  }

  path(path: string): string {
    return join(this.root, path)
  }

  read(path: string): string {
    return readFileSync(this.path(path), 'utf8')
  }

  has(path: string): boolean {
    return existsSync(this.path(path))
  }

  /** Returns what systemctl was called with to change something, since the last time. */
  takeCalls(): string[] {
    if (!this.has('/calls')) return []
    const calls = this.read('/calls').trim().split('\n')
    rmSync(this.path('/calls'))
    return calls.map((line) => line.replace(/--(system|quiet) /g, ''))
  }

  /** Returns the files of the host, and folders of checkvalve: not what this machine has in /usr, nor dpkg's own. */
  async files(): Promise<Set<string>> {
    const folders = ['usr', 'root/etc', 'root/var', 'root/run']
    const { stdout } = await run('host', ['sh', '-c', FIND, 'sh', this.#folder, ...folders])
    const ofDpkg = /^root\/var\/(lib\/dpkg|log\/dpkg\.log)/
    return new Set(
      stdout
        .trim()
        .split('\n')
        .filter((path) => !ofDpkg.test(path)),
    )
  }

  /** Lets dpkg take a package for installed. */
  #install(name: string, version: string): void {
    const fields = [`Package: ${name}`, 'Status: install ok installed', `Architecture: ${OWN}`]
    const text = [...fields, 'Maintainer: nobody', `Version: ${version}`, 'Description: a stand-in', '', '']
    appendFileSync(this.path('/var/lib/dpkg/status'), text.join('\n'))
    writeFileSync(this.path(`/var/lib/dpkg/info/${name}.list`), '')
  }
}

/** Returns whether packages can be installed here: their files belong to more than one user. */
export const canInstall = canSwitchUsers
/** What a test says that needs that. */
export const LEFT_OUT = 'left out: only root can install packages'
