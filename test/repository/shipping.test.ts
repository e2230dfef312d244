/** These tests check the samples of shipping/ that cannot be run here: what is in them fits the rest. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { schema } from '../../src/config/schema.js'
import { settingsByKey } from '../../src/config/setting-table.js'
import { TEMPLATE } from '../records/block-log/index-template.js'

const LOG = String(new Map(settingsByKey(schema)).get('log.destination')!.default)
const text = (name: string) => readFileSync(`shipping/${name}`, 'utf8')
const SAMPLES = readdirSync('shipping').filter((name) => !/collector|template/.test(name))

t.test('each sample follows the log at its default path, and sends it to the same collector', async (t) => {
  t.ok(SAMPLES.length >= 4)
  for (const name of SAMPLES) {
    t.ok(text(name).includes(`"${LOG}"`) || text(name).includes(LOG), name)
    t.match(text(name), 'logs.example.org', name)
  }
})

t.test(
  'samples for Elasticsearch write to a data stream of the template, with the name of the host',
  async (t) => {
    const [pattern] = TEMPLATE.index_patterns
    const fluentBit = parse(text('fluent-bit.yaml')).pipeline
    const { type, dataset, namespace } = parse(text('vector.yaml')).sinks.checkvalve_logs.data_stream
    for (const stream of [fluentBit.outputs[0].index, `${type}-${dataset}-${namespace}`])
      t.ok(stream.startsWith(pattern!.replace('*', '')), stream)
    t.equal(fluentBit.filters[0].hostname_key, 'host.name')
    t.match(parse(text('vector.yaml')).transforms.checkvalve_events.source, '."host.name" =')
  },
)

t.test('docs/shipping.md names each file of shipping/, and each of them is in the packages', async (t) => {
  const page = readFileSync('docs/shipping.md', 'utf8')
  for (const name of readdirSync('shipping')) t.ok(page.includes(`\`shipping/${name}\``), name)
  t.match(readFileSync('packaging/tree', 'utf8'), 'for file in shipping/*;')
})
