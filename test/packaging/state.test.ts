/**
 * What the state of another version becomes. state/ has the state directory of each released version as it wrote it:
 * a version that changes a file keeps the old ones here, and reads them.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { GENERATIONS } from '../../src/core/ruleset/marks.js'
import { readSavedNames } from '../../src/names/addresses-file.js'
import { GenerationFile } from '../../src/policy/generation-file.js'
import { RuntimeEntriesFile } from '../../src/policy/runtime-entries-file.js'
import { AcceptedFlowsFile } from '../../src/records/accepted-flows-file.js'
import { lookup } from '../config/files.js'

const STATES = 'test/packaging/state'

/** Reads all of a state directory, as a start does. */
function readState(directory: string) {
  const complaints: string[] = []
  const complain = (text: string) => complaints.push(text)
  const log = { warn: complain, error: complain, info: complain }
  return {
    entries: new RuntimeEntriesFile(directory, log as never).read(lookup),
    names: readSavedNames(directory),
    flows: new AcceptedFlowsFile(directory, () => 'www-data', log as never).status(),
    generation: new GenerationFile(directory, () => 0, log as never).current,
    complaints,
  }
}

/** Changes a JSON file. */
function edit(path: string, change: (content: Record<string, Record<string, unknown>[]>) => void): void {
  const content = JSON.parse(readFileSync(path, 'utf8'))
  change(content)
  writeFileSync(path, JSON.stringify(content))
}

for (const version of readdirSync(STATES))
  t.test(`an upgrade from ${version} keeps entries, addresses, uses, flows and generation`, async (t) => {
    const directory = t.testdir()
    cpSync(join(STATES, version), directory, { recursive: true })
    const { entries, names, flows, generation, complaints } = readState(directory)
    t.same(complaints, [])
    t.match(entries, [
      { name: 'payments', users: [33], units: ['shop.service'], whenSilent: 'users', protocol: 'tcp' },
      { name: 'ping', protocol: 'icmp' },
    ])
    t.equal(entries[0]!.to.length, 3)
    t.equal(entries[0]!.expires, Date.UTC(2099, 0, 31, 18))
    t.same(
      names.names.get('api.example.org')?.map(({ state = 'current' }) => state),
      ['current', 'former'],
    )
    t.equal(names.services.get('_http._tcp.mirror.example.org')?.length, 1)
    t.match(names.uses, [{ rule: 'payments', uid: 33 }])
    t.match(flows, { kinds: [{ rule: 'payments', address: '203.0.113.10', count: 7 }], evicted: 2 })
    t.equal(generation, 8, 'connections of the old version are judged again')
  })

t.test(
  'a downgrade keeps what it can read of a newer state, and never more than that state allows',
  async (t) => {
    const directory = t.testdir()
    cpSync(join(STATES, '0.1.0'), directory, { recursive: true })
    edit(join(directory, 'allow.json'), ({ entries }) => (entries![0]!.serverName = 'require'))
    edit(join(directory, 'addresses.json'), (content) => {
      content.certificates = [{ name: 'api.example.org' }]
      content.uses!.push({ rule: 'payments', user: 'by name' })
    })
    edit(join(directory, 'passed.json'), ({ kinds }) =>
      kinds!.push({ transport: 'quic', address: 'unix:/x' }),
    )
    writeFileSync(join(directory, 'generation'), '{"generation":7}')
    writeFileSync(join(directory, 'quarantine.json'), '{}')
    const { entries, names, flows, generation, complaints } = readState(directory)
    t.same(
      entries.map(({ name }) => name),
      ['ping'],
      'an entry with a limit that is not known is not in force without it',
    )
    t.match(complaints.join('\n'), /not in force: .*serverName[\s\S]*set aside as .*allow\.json\.bad/)
    t.equal(names.names.get('api.example.org')?.length, 2)
    t.equal(names.uses.length, 1)
    t.equal(flows.kinds.length, 1)
    t.ok(generation >= 1 && generation <= GENERATIONS)
    t.same(
      readdirSync(directory).sort(),
      ['addresses.json', 'allow.json.bad', 'generation', 'passed.json', 'quarantine.json'],
      'files that it does not know stay for the way forward',
    )
  },
)
