/** Makes a small Debian repository, and runs the real apt-get with a system of its own below a folder. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Result, run } from './command.js'
import type { Namespace } from './namespace.js'
import type { Program } from './program.js'
import type { Served } from './programs/file-server.js'
import { command } from './traffic.js'
import { canSwitchUsers } from './users.js'

export type { Served }

export interface Package {
  readonly name: string
  readonly version: string
  /** The bytes of its only file; 16 when absent. The package itself is slightly larger. */
  readonly bytes?: number
}

export interface RepositoryOptions {
  readonly suite: string
  readonly packages: readonly Package[]
}

/**
 * Builds packages without maintainer scripts, each with one file, /usr/share/NAME/VERSION, and the index of
 * them. It is not signed: `deb [trusted=yes] http://HOST/ SUITE main`.
 */
export async function createRepository(
  folder: string,
  { suite, packages }: RepositoryOptions,
): Promise<void> {
  const architecture = (await run('host', ['dpkg', '--print-architecture'])).stdout.trim()
  const index = `dists/${suite}/main/binary-${architecture}`
  for (const directory of ['pool', index]) mkdirSync(join(folder, directory), { recursive: true })
  for (const each of packages) await build(join(folder, 'pool'), each)
  await run('host', ['sh', '-ec', INDEX, 'index', folder, suite, index, architecture])
}

const INDEX = `
cd "$1"
apt-ftparchive packages pool > "$3/Packages"
release=APT::FTPArchive::Release
apt-ftparchive -o $release::Suite="$2" -o $release::Codename="$2" -o $release::Components=main \\
  -o $release::Architectures="$4" release "dists/$2" > Release
mv Release "dists/$2/"
`

async function build(pool: string, { name, version, bytes = 16 }: Package): Promise<void> {
  const tree = join(pool, `${name}.tree`)
  write(
    join(tree, 'usr/share', name, version),
    'checkvalve probe'.repeat(Math.ceil(bytes / 16)).slice(0, bytes),
  )
  write(join(tree, 'DEBIAN/control'), control(name, version))
  await run('host', ['dpkg-deb', '--root-owner-group', '-Znone', '--build', tree, pool])
  rmSync(tree, { recursive: true })
}

const control = (name: string, version: string) => `Package: ${name}
Version: ${version}
Architecture: all
Maintainer: checkvalve <checkvalve@example.org>
Description: a file to be downloaded
`

export interface AptOptions {
  /** The lines of etc/apt/sources.list. */
  readonly sources: string
  /** The root folder of the system. Every user must be able to enter it. */
  readonly root: string
}

/** The user as which apt's methods run: root where only one user exists. */
export const APT_USER = canSwitchUsers() ? '_apt' : 'root'

/**
 * Runs apt-get in a namespace on a system of its own: `root` has its sources, settings, lists and downloads,
 * and what dpkg installs. The result's status is not 0 when a download has failed.
 * @throws Error when apt has downloaded as root because its own user cannot enter `root`
 */
export async function aptGet(
  namespace: Namespace,
  args: readonly string[],
  { sources, root }: AptOptions,
): Promise<Result> {
  createSystem(root)
  write(join(root, 'etc/apt/sources.list'), sources)
  const result = await namespace.run(['apt-get', ...args], {
    env: environment(root),
    allowFailure: true,
  })
  if (result.stderr.includes('unsandboxed'))
    throw new Error(`${APT_USER} cannot enter ${root}: ${result.stderr}`)
  return result
}

const environment = (root: string): NodeJS.ProcessEnv => ({
  APT_CONFIG: join(root, SETTINGS),
  DEBIAN_FRONTEND: 'noninteractive',
  LC_ALL: 'C.UTF-8',
  PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
  NODE_OPTIONS: undefined,
  ...Object.fromEntries(PROXIES.map((name) => [name, undefined])),
})

/** Environment variables that name a proxy of the host, which must have no effect in the lab. */
const PROXIES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [
  name,
  name.toUpperCase(),
])

const SETTINGS = 'etc/apt/lab.conf'

const DIRECTORIES = [
  'etc/apt/apt.conf.d',
  'etc/apt/auth.conf.d',
  'etc/apt/preferences.d',
  'etc/apt/sources.list.d',
  'etc/apt/trusted.gpg.d',
  'var/cache/apt/archives/partial',
  'var/lib/apt/lists/partial',
  'var/lib/dpkg/info',
  'var/lib/dpkg/updates',
  'var/log/apt',
]

/** Makes the folders and files of the system. Existing ones stay, and so do installed packages. */
function createSystem(root: string): void {
  for (const directory of DIRECTORIES) mkdirSync(join(root, directory), { recursive: true })
  write(join(root, 'var/lib/dpkg/status'), '', 'a')
  write(join(root, SETTINGS), settings(root))
}

/**
 * Returns the settings of apt. It reads them before all other files, and then none of the host. A request
 * without an answer ends after 60 seconds and is not repeated. Downloaded packages are not kept, so that
 * `install --reinstall` downloads again.
 */
const settings = (root: string) => `
Dir "${root}";
Dir::State::status "${root}/var/lib/dpkg/status";
DPkg::Options { "--root=${root}"; "--log=${root}/var/log/dpkg.log"; };
DPkg::Use-Pty "false";
APT::Sandbox::User "${APT_USER}";
APT::Update::Error-Mode "any";
APT::Get::Assume-Yes "true";
APT::Keep-Downloaded-Packages "false";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Timeout "60";
`

/** Serves a folder, see programs/file-server.ts. @param pace bytes a second for each download */
export async function serveFiles(
  namespace: Namespace,
  folder: string,
  { port = 80, pace }: { readonly port?: number; readonly pace?: number } = {},
): Promise<Program> {
  const server = namespace.spawn(
    command('file-server', [port, folder, ...(pace === undefined ? [] : [pace])]),
  )
  await server.result('listening')
  return server
}

function write(path: string, text: string, flag = 'w'): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text, { flag })
}
