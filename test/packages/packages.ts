/** Builds the packages for the tests, once for all test files of a run. */
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../lab/command.js'

export const VERSION = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version
/** The time in all packages of the tests: seconds since 1970. */
export const EPOCH = 1_790_000_000
/** The version of Node.js that the stand-in for it has in its package. */
export const NODE_VERSION = '24.0.0'
export const ARCHITECTURES = ['amd64', 'arm64'] as const
export type Architecture = (typeof ARCHITECTURES)[number]

const MACHINES: Readonly<Record<Architecture, string>> = { amd64: 'x86_64', arm64: 'aarch64' }
/** Milliseconds for a build beside other work. */
const BUILD_MS = 300_000

/** The architecture of this machine, by Debian's name. */
export const OWN: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'

export const debOf = (folder: string, arch: Architecture = OWN) =>
  join(folder, `checkvalve_${VERSION}-1_${arch}.deb`)
export const rpmOf = (folder: string, arch: Architecture = OWN) =>
  join(folder, `checkvalve-${VERSION}-1.${MACHINES[arch]}.rpm`)
export const nodeDebOf = (folder: string) => join(folder, `checkvalve-node_${NODE_VERSION}-1_${OWN}.deb`)
export const nodeRpmOf = (folder: string) =>
  join(folder, `checkvalve-node-${NODE_VERSION}-1.${MACHINES[OWN]}.rpm`)

/** Makes an empty folder in memory, which ends with the run. */
export const temporaryFolder = () => mkdtempSync(join(tmpdir(), 'checkvalve-packaging-'))

/** Builds the packages of an architecture into a folder, from the program as it is built now. */
export async function buildInto(folder: string, arch: Architecture, umask = '022'): Promise<void> {
  await script(
    `umask ${umask}
    tree=$(mktemp --directory)
    trap 'rm -rf "$tree"' EXIT
    packaging/tree ${arch} "$tree"
    packaging/pack checkvalve ${VERSION} ${arch} "$tree" ${folder}`,
  )
}

/** The program of the package checkvalve-node in tests: the Node.js that runs them, after a word on standard error. */
export const STAND_IN = `#!/bin/sh\necho 'own node' >&2\nexec /mnt/node/bin/node "$@"\n`

/**
 * Builds all packages, unless another test file has done that. The package checkvalve-node has a stand-in for the
 * program, as Node is large. @returns the folder of the packages
 */
export async function builtPackages(): Promise<string> {
  const folder = join(tmpdir(), 'checkvalve-packages')
  mkdirSync(folder, { recursive: true })
  const builds = ARCHITECTURES.map(
    (arch) => `packaging/tree ${arch} "$work/${arch}"
    packaging/pack checkvalve ${VERSION} ${arch} "$work/${arch}" ${folder}`,
  )
  await script(
    `exec 9>${folder}/lock
    flock 9
    if [ -e ${folder}/done ]; then exit; fi
    work=$(mktemp --directory)
    trap 'rm -rf "$work"' EXIT
    ${builds.join('\n')}
    mkdir -p "$work/node/bin"
    cat >"$work/node/bin/node"
    chmod +x "$work/node/bin/node"
    echo 'a licence' >"$work/node/LICENSE"
    packaging/node-tree "$work/node" "$work/node-tree"
    packaging/pack checkvalve-node ${NODE_VERSION} ${OWN} "$work/node-tree" ${folder}
    touch ${folder}/done`,
    STAND_IN,
  )
  return folder
}

async function script(text: string, input = ''): Promise<void> {
  const env = { SOURCE_DATE_EPOCH: String(EPOCH) }
  await run('build', ['bash', '-euc', text], { env, input, timeout: BUILD_MS })
}

/** Makes the same .deb with another version. @returns its path */
export async function withVersion(deb: string, version: string): Promise<string> {
  const made = join(temporaryFolder(), `checkvalve_${version}_${OWN}.deb`)
  await script(
    `work=$(mktemp --directory)
    trap 'rm -rf "$work"' EXIT
    dpkg-deb --raw-extract ${deb} "$work/tree"
    sed -i 's/^Version: .*/Version: ${version}/' "$work/tree/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$work/tree" ${made}`,
  )
  return made
}
