/** Reads the index template for Elasticsearch. */
import { readFileSync } from 'node:fs'

interface Mapping {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Mapping>>
}

interface Template {
  readonly index_patterns: readonly string[]
  readonly priority: number
  readonly data_stream?: object
  readonly _meta: { readonly description: string }
  readonly template: { readonly mappings: Mapping & { readonly dynamic: unknown } }
}

export const TEMPLATE = JSON.parse(readFileSync('shipping/elasticsearch-template.json', 'utf8')) as Template

/** Returns the type of each field of the template, by its whole name. */
export const templateTypes = (): Map<string, string> => new Map(typesBelow('', TEMPLATE.template.mappings))

function typesBelow(path: string, { type, properties = {} }: Mapping): [string, string][] {
  const own: [string, string][] = type === undefined ? [] : [[path, type]]
  const below = Object.entries(properties).flatMap(([name, mapping]) =>
    typesBelow(path === '' ? name : `${path}.${name}`, mapping),
  )
  return [...own, ...below]
}
