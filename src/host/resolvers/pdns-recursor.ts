/** Finds the servers that the PowerDNS Recursor forwards to, in its settings of both forms. */
import type { Files, TextFile } from '../mirrors/file-reader.js'
import { IncludedFiles } from '../mirrors/paths.js'
import { linesOf } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { splitPort } from '../server-address.js'
import {
  DNS_TLS_PORT,
  type LocalResolver,
  placedUpstream,
  RECURSES,
  UNREADABLE,
  type Upstream,
} from './local-resolver.js'
import { itemsOf, type PlacedText, textAt, textsOf, valueAt, yamlOf } from './yaml-file.js'

const FOLDERS = ['/etc/powerdns', '/etc/pdns-recursor', '/usr/local/etc/pdns']
const NAMES = ['recursor.conf', 'recursor.yml']

/** A zone, and the servers that it is forwarded to. */
interface Forward {
  readonly zone: string
  readonly servers: readonly PlacedText[]
}

export function readPdnsRecursor(files: Files): LocalResolver | undefined {
  const paths = FOLDERS.flatMap((folder) => NAMES.map((name) => `${folder}/${name}`))
  const present = paths.filter((path) => files.exists(path))
  const [main] = present
  if (main === undefined) return undefined
  const reader = new Reader(files)
  for (const path of present) reader.read(path)
  const isWhole = reader.forwards.some(({ zone, servers }) => /^\+?\.$/.test(zone) && servers.length > 0)
  return {
    program: 'pdns-recursor',
    upstreams: reader.forwards.flatMap(({ servers }) => servers.flatMap(upstreamOf)),
    gap: reader.isUnreadable ? UNREADABLE : isWhole ? undefined : RECURSES,
    origin: files.leaf(main).at(),
  }
}

/** Reads `192.0.2.53` and `[2001:db8::53]:5353`. Port 853 is asked over TLS (`dot-to-port-853`). */
function upstreamOf({ text, origin }: PlacedText): Placed<Upstream>[] {
  const { host, port } = splitPort(text.replace(/[#@].*$/s, ''))
  return placedUpstream({ host, port, isTls: port === DNS_TLS_PORT }, origin)
}

class Reader {
  readonly forwards: Forward[] = []
  isUnreadable = false
  readonly #files: Files
  readonly #included: IncludedFiles

  constructor(files: Files) {
    this.#files = files
    this.#included = new IncludedFiles(files)
  }

  read(path: string): void {
    const file = this.#included.read(path)
    if (!file) return
    this.isUnreadable ||= file.isUnreadable
    if (/^(?:\w+:\s*$|---)/m.test(file.text)) this.#yaml(file)
    else this.#lines(file)
  }

  #folder(path: string): void {
    for (const each of this.#files.list(path, /\.(?:conf|yml)$/)) this.read(each)
  }

  /** Reads `forward-zones=example.org=192.0.2.53;192.0.2.54, .=198.51.100.53`. */
  #lines(file: TextFile): void {
    for (const { text, line } of linesOf(file.text)) {
      const [, key = '', value = ''] = /^\s*([\w-]+)\s*\+?=\s*(.*?)\s*$/s.exec(text) ?? []
      if (key === 'include-dir') this.#folder(value)
      else if (key === 'forward-zones-file') this.#zonesFile(value)
      else if (/^forward-zones(?:-recurse)?$/.test(key))
        for (const each of value.split(/[,\s]+/)) this.#forward(each, /;/, file.at(line))
    }
  }

  /** Reads lines `[+]example.org=192.0.2.53, 192.0.2.54`, or YAML. */
  #zonesFile(path: string): void {
    const file = this.#included.read(path)
    if (!file) return
    if (path.endsWith('.yml')) this.#zones(yamlOf(file))
    else
      for (const { text, line } of linesOf(file.text))
        this.#forward(text.replace(/#.*/, '').trim(), /[,;\s]+/, file.at(line))
  }

  #forward(written: string, between: RegExp, origin: PlacedText['origin']): void {
    const [, zone, servers = ''] = /^([^=]+)=(.*)$/s.exec(written) ?? []
    if (zone === undefined) return
    const texts = servers.split(between).filter((each) => each !== '')
    this.forwards.push({ zone: zone.trim(), servers: texts.map((text) => ({ text, origin })) })
  }

  #yaml(file: TextFile): void {
    const settings = valueAt(yamlOf(file), 'recursor')
    for (const key of ['forward_zones', 'forward_zones_recurse']) this.#zones(valueAt(settings, key))
    const [folder, zones] = ['include_dir', 'forward_zones_file'].map((key) => textAt(settings, key))
    if (folder !== undefined) this.#folder(folder)
    if (zones !== undefined) this.#zonesFile(zones)
  }

  #zones(list: ReturnType<typeof yamlOf>): void {
    for (const item of itemsOf(list))
      this.forwards.push({ zone: textAt(item, 'zone') ?? '', servers: textsOf(valueAt(item, 'forwarders')) })
  }
}
