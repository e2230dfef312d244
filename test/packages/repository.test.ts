/** `npm run package -- --repo`: an apt of its own reads the repository as a host does. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { run } from '../lab/command.js'
import {
  ARCHITECTURES,
  builtPackages,
  debOf,
  OWN,
  temporaryFolder,
  VERSION,
  withVersion,
} from './packages.js'

const SIGNER = 'packages@checkvalve.invalid'
const folder = await builtPackages()
const debs = ARCHITECTURES.map((arch) => debOf(folder, arch))

const add = (repository: string, key: string, packages: readonly string[], home = '/nonexistent') =>
  run('repository', ['packaging/repository', repository, key, ...packages], {
    env: { GNUPGHOME: home },
    allowFailure: true,
  })

/** Makes a key that signs. @returns the folder of gpg */
async function keyFolder(t: Test): Promise<string> {
  const home = temporaryFolder()
  const env = { GNUPGHOME: home }
  await run(
    'gpg',
    ['gpg', '--batch', '--passphrase', '', '--quick-generate-key', SIGNER, 'ed25519', 'sign'],
    { env },
  )
  t.teardown(() => run('gpg', ['gpgconf', '--kill', 'all'], { env }))
  return home
}

/** An apt that knows one repository. */
class Apt {
  readonly #options: readonly string[]

  constructor(source: string) {
    const root = temporaryFolder()
    for (const name of ['state/lists/partial', 'cache/archives/partial', 'etc/trusted.gpg.d', 'log'])
      mkdirSync(join(root, name), { recursive: true })
    writeFileSync(join(root, 'sources.list'), `${source}\n`)
    writeFileSync(join(root, 'status'), '')
    const settings = {
      'Dir::State': `${root}/state`,
      'Dir::State::status': `${root}/status`,
      'Dir::Cache': `${root}/cache`,
      'Dir::Etc': `${root}/etc`,
      'Dir::Etc::sourcelist': `${root}/sources.list`,
      'Dir::Log': `${root}/log`,
      'APT::Architecture': OWN,
      'APT::Sandbox::User': 'root',
    }
    this.#options = Object.entries(settings).map(([key, value]) => `-o${key}=${value}`)
  }

  run(program: string, ...args: readonly string[]) {
    return run('apt', [program, ...this.#options, ...args], { allowFailure: true })
  }

  /** Returns status and complaints of an update. */
  update = () => this.run('apt-get', 'update', '-oAPT::Update::Error-Mode=any')
}

t.test('a signed repository is taken by apt with its key, and offers each version', async (t) => {
  const repository = temporaryFolder()
  const home = await keyFolder(t)
  const first = await add(repository, SIGNER, debs, home)
  t.equal(first.status, 0, first.stderr)
  const next = await withVersion(debOf(folder), '99.0.0-1')
  t.equal((await add(repository, SIGNER, [next], home)).status, 0)
  const key = `${repository}/checkvalve.gpg`
  const apt = new Apt(`deb [signed-by=${key}] file:${repository} stable main`)
  const { status, stdout, stderr } = await apt.update()
  t.equal(status, 0, stdout + stderr)
  const policy = await apt.run('apt-cache', 'policy', 'checkvalve')
  t.match(policy.stdout, 'Candidate: 99.0.0-1')
  t.match(policy.stdout, `${VERSION}-1`, 'and one to go back to')
  const uris = await apt.run('apt-get', 'download', '--print-uris', `checkvalve=${VERSION}-1`)
  const [, path] = /^'file:(\S+)'/.exec(uris.stdout)!
  t.ok(readFileSync(path!).equals(readFileSync(debOf(folder))))

  const index = `${repository}/dists/stable/main/binary-${OWN}/Packages`
  writeFileSync(index, readFileSync(index, 'utf8').replace('outbound', 'inbound'))
  await run('gzip', ['gzip', '--keep', '--force', index])
  const forged = await new Apt(`deb [signed-by=${key}] file:${repository} stable main`).update()
  t.not(forged.status, 0, 'an index that the signature is not of is refused')
})

t.test('without a key there is no signature, and apt takes it only when told so', async (t) => {
  const repository = temporaryFolder()
  t.equal((await add(repository, '', debs)).status, 0)
  t.not((await new Apt(`deb file:${repository} stable main`).update()).status, 0)
  t.equal((await new Apt(`deb [trusted=yes] file:${repository} stable main`).update()).status, 0)
})

t.test('a version that is there is not replaced by other contents', async (t) => {
  const repository = temporaryFolder()
  t.equal((await add(repository, '', debs)).status, 0)
  t.equal((await add(repository, '', debs)).status, 0, 'the same again is no change')
  const other = `${temporaryFolder()}/${debOf('')}`
  copyFileSync(debOf(folder), other)
  writeFileSync(other, 'other contents', { flag: 'a' })
  const { status, stderr } = await add(repository, '', [other])
  t.equal(status, 1)
  t.match(stderr, 'raise the version')
})
