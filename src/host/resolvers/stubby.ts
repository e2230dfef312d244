/** Finds the servers that stubby asks (stubby.yml). */
import type { Files } from '../mirrors/file-reader.js'
import { portOf } from '../server-address.js'
import { type LocalResolver, NAMES_NONE, placedUpstream, UNREADABLE } from './local-resolver.js'
import { itemsOf, textAt, textsOf, valueAt, yamlOf } from './yaml-file.js'

const MAIN = ['/etc/stubby/stubby.yml', '/usr/local/etc/stubby/stubby.yml']

export function readStubby(files: Files): LocalResolver | undefined {
  const main = MAIN.find((path) => files.exists(path))
  if (main === undefined) return undefined
  const file = files.leaf(main)
  const root = yamlOf(file)
  const transports = textsOf(valueAt(root, 'dns_transport_list')).map(({ text }) => text)
  const usesTls = transports.length === 0 || transports.some((each) => each.includes('TLS'))
  const usesPlain = transports.some((each) => !each.includes('TLS'))
  const upstreams = itemsOf(valueAt(root, 'upstream_recursive_servers')).flatMap((server) => {
    const host = textAt(server, 'address_data') ?? ''
    const port = portOf(textAt(server, 'tls_port'))
    return [
      ...(usesTls ? placedUpstream({ host, port, isTls: true }, server.origin) : []),
      ...(usesPlain ? placedUpstream({ host }, server.origin) : []),
    ]
  })
  const gap = file.isUnreadable ? UNREADABLE : upstreams.length === 0 ? NAMES_NONE : undefined
  return { program: 'stubby', upstreams, gap, origin: file.at() }
}
