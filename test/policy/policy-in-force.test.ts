import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { Config } from '../../src/config/config.js'
import { PolicyInForce, type PolicyInForceOptions } from '../../src/policy/policy-in-force.js'
import { RuntimeEntriesFile } from '../../src/policy/runtime-entries-file.js'
import { configOf, loadText } from '../config/files.js'

const noop = () => {}
const LOG = { info: noop, warn: noop, error: noop }

/** Makes a policy in force with a kernel that records the generation file at each load. */
function applying(config: Config, file: string) {
  const applied: { generation: number; onDisk: string | undefined }[] = []
  const firewall = {
    form: 'native',
    apply: async ({ options }: { options: { generation: number } }, onLoaded?: () => void) => {
      const onDisk = existsSync(file) ? readFileSync(file, 'utf8') : undefined
      applied.push({ generation: options.generation, onDisk })
      onLoaded?.()
    },
    changeHosts: async () => {},
    forgetBlocks: async () => {},
    setFacts: async () => {},
    presentUntracksLoopback: async () => false,
  }
  const inbound = { expireGeneration: async () => {}, findOpened: async () => {}, facts: () => ({}) }
  const inForce = new PolicyInForce(config, {
    ...{ firewall, inbound, log: LOG },
    store: new RuntimeEntriesFile(config.state.directory, LOG),
    ...{ isBusy: () => false, onLookedUp: noop, onLookUpFailed: noop, onMode: noop },
  } as unknown as PolicyInForceOptions)
  return { inForce, applied }
}

t.test('a generation is on disk before its rules are sent to the kernel', async (t) => {
  const directory = t.testdir()
  const config = (allow: string) =>
    configOf(
      loadText(
        t,
        `mode: enforce\nmirrors: { discover: false }\ndns: { resolve: false }\nstate: { directory: ${directory} }\nallow: [${allow}]\n`,
      ),
    )
  const rule = (name: string) => `{ name: ${name}, to: [203.0.113.1] }`
  const { inForce, applied } = applying(config(`${rule('a')}, ${rule('b')}`), `${directory}/generation`)
  await inForce.start()
  await inForce.reload(config(rule('a')))
  await inForce.reload(config(''))
  const generations = applied.map(({ generation }) => generation)
  t.equal(new Set(generations).size, 3, 'rules that allow less have a new generation')
  t.same(
    applied.map(({ onDisk }) => onDisk),
    generations.map((generation) => `${generation}\n`),
  )
  await inForce.learned.stop()
})
