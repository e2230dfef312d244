/**
 * A fleet for Ansible: hosts with sshd, the packages' repository and a resolver in namespaces of their own.
 *
 *     centre ---- web1, web2, web3
 *
 * The centre has the controller, the mirror, the resolver, and the services that the hosts call.
 */
import { appendFileSync, chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { serveFiles } from '../lab/apt.js'
import { type Result, run } from '../lab/command.js'
import { serveDnsmasq } from '../lab/dnsmasq.js'
import { link, Namespace } from '../lab/namespace.js'
import { serveHttp } from '../lab/traffic.js'
import { eventually } from '../lab/waiting.js'
import { InstalledHost } from '../packages/installed-host.js'
import { builtPackages, debOf, temporaryFolder } from '../packages/packages.js'

/** Addresses of the centre, beside those on its cables. */
export const MIRROR = '198.51.100.2'
export const API = '203.0.113.20'
const RECORDS = { 'mirror.example.org': [MIRROR], 'api.example.org': [API] }

const SIGNER = 'packages@checkvalve.invalid'
/** Ansible takes some seconds for each task, on a slow machine more. */
const PLAY_MS = 600_000

/** A host, with what runs on it in a process namespace of its own. */
export interface FleetHost {
  readonly name: string
  readonly files: InstalledHost
  readonly network: Namespace
}

export class Fleet {
  readonly folder = temporaryFolder()
  readonly hosts: FleetHost[] = []

  private constructor(readonly centre: Namespace) {}

  static async create(t: Test, names: readonly string[]): Promise<Fleet> {
    const fleet = new Fleet(await Namespace.create('centre'))
    t.teardown(async () => {
      await Promise.all([...fleet.hosts.map(({ network }) => network.close()), fleet.centre.close()])
    })
    await fleet.centre.address('lo', `${MIRROR}/32`, `${API}/32`)
    await fleet.#serve()
    await run('keys', ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(fleet.folder, 'key')])
    for (const [index, name] of names.entries()) fleet.hosts.push(await fleet.#host(t, name, index + 1))
    fleet.#writeInventory()
    return fleet
  }

  /** The folder of the inventory: the example of the packages, with the hosts of this fleet. */
  get inventory(): string {
    return join(this.folder, 'inventory')
  }

  host(name: string): FleetHost {
    return this.hosts.find((each) => each.name === name)!
  }

  /** Runs a playbook of the packages as an operator does, whatever its status. */
  async play(playbook: string, ...words: readonly string[]): Promise<Result> {
    const argv = [
      'ansible-playbook',
      '-i',
      join(this.inventory, 'hosts.yaml'),
      `packaging/ansible/${playbook}`,
      ...words,
    ]
    return this.centre.run(['timeout', `${PLAY_MS / 1000}`, ...argv], {
      env: this.#environment(),
      allowFailure: true,
      timeout: PLAY_MS + 10_000,
    })
  }

  readPolicy(name: string): string {
    return readFileSync(join(this.inventory, 'policy', name), 'utf8')
  }

  /** Writes a file of the policy. */
  policy(name: string, text: string): void {
    writeFileSync(join(this.inventory, 'policy', name), text)
  }

  #environment(): NodeJS.ProcessEnv {
    return {
      HOME: this.folder,
      LC_ALL: 'C.UTF-8',
      PATH: '/mnt/node/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      NODE_OPTIONS: undefined,
      ANSIBLE_NOCOLOR: '1',
      ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3',
      ANSIBLE_HOST_KEY_CHECKING: 'False',
      ANSIBLE_PIPELINING: 'True',
      ANSIBLE_SSH_ARGS:
        '-F /dev/null -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR',
    }
  }

  /** Starts the resolver, the repository of the packages, and a service. */
  async #serve(): Promise<void> {
    const packages = await builtPackages()
    const home = temporaryFolder()
    const env = { GNUPGHOME: home }
    const generate = ['--batch', '--passphrase', '', '--quick-generate-key', SIGNER, 'ed25519', 'sign']
    await run('gpg', ['gpg', ...generate], { env })
    await run(
      'repository',
      ['packaging/repository', join(this.folder, 'mirror/checkvalve'), SIGNER, debOf(packages)],
      {
        env,
      },
    )
    await run('gpg', ['gpgconf', '--kill', 'all'], { env, allowFailure: true })
    await serveDnsmasq(this.centre, { records: RECORDS, ttl: 300 })
    await serveFiles(this.centre, join(this.folder, 'mirror'))
    await serveHttp(this.centre, 443)
  }

  async #host(t: Test, name: string, number: number): Promise<FleetHost> {
    const files = await InstalledHost.create(t, { nodejs: '20.19.2+dfsg-1', systemd: true })
    const network = await Namespace.create(name)
    const [near, far] = [`198.18.${number}.1`, `198.18.${number}.2`]
    await link(network, 'eth0', this.centre, `host${number}`)
    await network.address('eth0', `${near}/24`)
    await this.centre.address(`host${number}`, `${far}/24`)
    await network.route(`default via ${far}`)
    this.#prepare(files, far)
    const argv = ['unshare', '--pid', '--fork', '--kill-child', `--mount-proc=${files.path('/proc')}`]
    network.spawn([...argv, 'chroot', files.root, '/usr/local/bin/systemd'])
    const answers = ['bash', '-c', `exec 3<>/dev/tcp/${near}/22`]
    await eventually(`${name} has sshd`, async () => {
      return (await this.centre.run(answers, { allowFailure: true })).status === 0
    })
    return { name, files, network }
  }

  /** Writes what a host has before anybody installs checkvalve. */
  #prepare(files: InstalledHost, resolver: string): void {
    const source = (name: string) => readFileSync(`test/fleet/host/${name}`, 'utf8')
    mkdirSync(files.path('/usr/local/bin'), { recursive: true })
    files.writeProgram('/usr/bin/systemctl', source('systemctl'))
    files.writeProgram('/usr/local/bin/systemd', source('systemd'))
    appendFileSync(files.path('/etc/passwd'), 'sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n')
    mkdirSync(files.path('/etc/ssh'), { recursive: true })
    cpSync(join(this.folder, 'key.pub'), files.path('/etc/ssh/authorized_keys'))
    // One key is enough for all: this client does not ask for it.
    cpSync(join(this.folder, 'key'), files.path('/etc/ssh/ssh_host_ed25519_key'))
    writeFileSync(files.path('/etc/ssh/sshd_config'), SSHD)
    writeFileSync(files.path('/etc/resolv.conf'), `nameserver ${resolver}\n`)
    for (const folder of APT_FOLDERS) mkdirSync(files.path(folder), { recursive: true })
    chmodSync(files.path('/tmp'), 0o1777)
  }

  /** Copies the example of the packages, and names the hosts of this fleet in it, each in a wave of its own. */
  #writeInventory(): void {
    cpSync('packaging/ansible/example', this.inventory, { recursive: true })
    cpSync(join(this.folder, 'mirror/checkvalve/checkvalve.gpg'), join(this.inventory, 'checkvalve.gpg'))
    const variables = join(this.inventory, 'group_vars/all.yaml')
    writeFileSync(variables, readFileSync(variables, 'utf8').replace('https:', 'http:'))
    const hosts = this.hosts.map(
      ({ name }, index) => `    ${name}: { ansible_host: 198.18.${index + 1}.1 }\n`,
    )
    const waves = this.hosts.map(({ name }, index) => `wave${index + 1}: { hosts: { ${name}: } }\n`)
    const connection = `    ansible_user: root\n    ansible_ssh_private_key_file: ${this.folder}/key\n`
    writeFileSync(
      join(this.inventory, 'hosts.yaml'),
      `all:\n  vars:\n${connection}  hosts:\n${hosts.join('')}${waves.join('')}shop: { hosts: { web1: , web2: } }\n`,
    )
  }
}

const SSHD = `ListenAddress 0.0.0.0
AuthorizedKeysFile /etc/ssh/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
UsePAM no
Subsystem sftp internal-sftp
UseDNS no
`

const APT_FOLDERS = [
  '/etc/apt/apt.conf.d',
  '/etc/apt/preferences.d',
  '/etc/apt/sources.list.d',
  '/etc/apt/trusted.gpg.d',
  '/usr/share/keyrings',
  '/var/cache/apt/archives/partial',
  '/var/lib/apt/lists/partial',
  '/var/log/apt',
  '/root',
]
