/** The index template for Elasticsearch has the fields of the log, with the types of ECS. */
import { EcsFlat, EcsVersion } from '@elastic/ecs'
import t from 'tap'
import { fieldsOf } from './events.js'
import { FIELDS } from './fields.js'
import { TEMPLATE, templateTypes } from './index-template.js'

/** The field of ECS by which the lines of many hosts are told apart: what ships the log adds it. */
const ADDED = 'host.name'
const OWN = 'checkvalve.'

/** ECS has more about a field than is read here. */
interface EcsField {
  readonly type: string
  readonly normalize: readonly string[]
  readonly allowed_values?: readonly {
    readonly name: string
    readonly expected_event_types?: readonly string[]
  }[]
}
const ecs = EcsFlat as unknown as Readonly<Record<string, EcsField>>

t.test('the template has each field of the log, the name of the host, and no others', async (t) => {
  t.same([...templateTypes().keys()].sort(), [...Object.keys(FIELDS), ADDED].sort())
})

t.test('a field is one of ECS and has its type, or is below checkvalve', async (t) => {
  t.equal(EcsVersion, fieldsOf()['ecs.version'], 'the version that lines name')
  t.match(TEMPLATE._meta.description, `ECS ${EcsVersion.split('.').slice(0, 2).join('.')},`)
  for (const [name, type] of templateTypes()) {
    if (name.startsWith(OWN)) t.notOk(name in ecs, name)
    else t.equal(ecs[name]?.type, type, name)
  }
})

t.test("a value of the log fits its field's type, and is a list where ECS wants one", async (t) => {
  const types = templateTypes()
  for (const [name, kind] of Object.entries(FIELDS)) {
    t.equal(kind === 'number', types.get(name) === 'long', name)
    if (!name.startsWith(OWN)) t.equal(kind === 'list', ecs[name]!.normalize.includes('array'), name)
  }
})

t.test('kind, category and type of an event are words of ECS', async (t) => {
  const wordsOf = (name: string) => ecs[name]!.allowed_values!.map((value) => value.name)
  t.ok(wordsOf('event.kind').includes('event'))
  const network = ecs['event.category']!.allowed_values!.find(({ name }) => name === 'network')
  for (const type of ['denied', 'allowed'])
    t.ok(wordsOf('event.type').includes(type) && network!.expected_event_types!.includes(type), type)
})

t.test('the template is one of a data stream, before those of Elasticsearch itself', async (t) => {
  t.same(TEMPLATE.data_stream, {})
  t.same(TEMPLATE.index_patterns, ['logs-checkvalve.blocks-*'])
  t.ok(TEMPLATE.priority > 100, "that of Elasticsearch's own template for logs-*-*")
  t.equal(TEMPLATE.template.mappings.dynamic, false, 'fields of a shipper are kept, and not indexed')
})
