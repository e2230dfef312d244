/** Finds the servers that Knot Resolver forwards to: in kresd.conf, a program in Lua, and in config.yaml. */
import type { Files, TextFile } from '../mirrors/file-reader.js'
import { linesOf } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { portOf } from '../server-address.js'
import { type LocalResolver, placedUpstream, RECURSES, UNREADABLE, type Upstream } from './local-resolver.js'
import { itemsOf, type PlacedText, textAt, textsOf, valueAt, yamlOf } from './yaml-file.js'

const LUA = '/etc/knot-resolver/kresd.conf'
const YAML = '/etc/knot-resolver/config.yaml'
/** Rules that are read: each is found in the whole text. */
const CALLS_AT_MOST = 256
/** Characters of one call, and before it, that are read. */
const CALL_LENGTH = 16_384
const BEFORE_LENGTH = 256
/** `policy.add(policy.all(policy.TLS_FORWARD({{'192.0.2.53', hostname='dns.example.org'}})))` */
const CALL = /\b(TLS_FORWARD|FORWARD|STUB)\s*(?=[({'"])/g

export function readKnotResolver(files: Files): LocalResolver | undefined {
  const [lua, yaml] = [files.leaf(LUA), files.leaf(YAML)]
  const present = [LUA, YAML].filter((path) => files.exists(path))
  if (present.length === 0) return undefined
  const found = [...ofLua(lua), ...ofYaml(yaml)]
  const isUnreadable = lua.isUnreadable || yaml.isUnreadable
  const isWhole = found.some(({ isAll, upstreams }) => isAll && upstreams.length > 0)
  return {
    program: 'knot-resolver',
    upstreams: found.flatMap(({ upstreams }) => upstreams),
    gap: isUnreadable ? UNREADABLE : isWhole ? undefined : RECURSES,
    origin: files.leaf(present[0]!).at(),
  }
}

/** The servers of one rule, and whether it is for all names. */
interface Forward {
  readonly isAll: boolean
  readonly upstreams: readonly Placed<Upstream>[]
}

/**
 * Finds the calls that make a rule for forwarding. It runs nothing: servers that a program computes are not
 * found.
 */
function ofLua(file: TextFile): Forward[] {
  // Comments become empty, so that lines keep their numbers.
  const text = file.text.replace(/--\[\[[\s\S]*?(?:\]\]|$)/g, (comment) => comment.replace(/[^\n]/g, ''))
  const plain = linesOf(text).map((line) => line.text.replace(/--.*$/, ''))
  const whole = plain.join('\n')
  return [...whole.matchAll(CALL)].slice(0, CALLS_AT_MOST).map(({ 1: kind, index, 0: call }) => {
    const before = whole.slice(0, index)
    const line = before.split('\n').length
    const isAll = /policy\.all\s*\(\s*(?:policy\.)?$/.test(before.slice(-BEFORE_LENGTH))
    const isTls = kind === 'TLS_FORWARD'
    const texts = [...argumentsAt(whole, index + call.length).matchAll(/(['"])(.*?)\1/g)]
    return {
      isAll,
      upstreams: texts.flatMap(([, , text]) => upstreamOf({ text: text!, origin: file.at(line) }, isTls)),
    }
  })
}

/** Returns the text within the bracket that begins there, or the quoted word. */
function argumentsAt(text: string, from: number): string {
  let depth = 0
  const end = Math.min(text.length, from + CALL_LENGTH)
  for (let at = from; at < end; at++) {
    if ('({'.includes(text[at]!)) depth++
    else if (')}'.includes(text[at]!)) depth--
    else if (depth === 0 && text[at] === '\n') return text.slice(from, at)
    if (depth === 0 && ')}'.includes(text[at]!)) return text.slice(from, at)
  }
  return text.slice(from, end)
}

/** Reads the list `forward`; servers are texts, or mappings with a transport. */
function ofYaml(file: TextFile): Forward[] {
  return itemsOf(valueAt(yamlOf(file), 'forward')).map((rule) => {
    const zones = textsOf(valueAt(rule, 'subtree')).map(({ text }) => text)
    const upstreams = itemsOf(valueAt(rule, 'servers')).flatMap((server) => {
      const isTls = textAt(server, 'transport') === 'tls'
      const addresses = server.kind === 'mapping' ? valueAt(server, 'address') : server
      return textsOf(addresses).flatMap((each) => upstreamOf(each, isTls))
    })
    return { isAll: zones.includes('.'), upstreams }
  })
}

/** Reads `192.0.2.53@5353`; names between the quotes of a call are no servers. */
function upstreamOf({ text, origin }: PlacedText, isTls: boolean): Placed<Upstream>[] {
  const [host = '', port] = text.split('@')
  const isAddress = /^[\d.]+$/.test(host) || host.includes(':')
  return isAddress ? placedUpstream({ host, port: portOf(port), isTls }, origin) : []
}
