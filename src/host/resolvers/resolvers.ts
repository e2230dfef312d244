/** Finds the resolvers of this host: those of resolv.conf, and those that a resolver on this host asks. */
import type { Address, Prefix } from '../../core/packet/ip.js'
import { DNS_PORT } from '../../core/policy/infrastructure-rules.js'
import { originText } from '../../core/policy/origin.js'
import type { Files, TextFile } from '../mirrors/file-reader.js'
import { linesOf } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { readBind } from './bind.js'
import { readDnscryptProxy } from './dnscrypt-proxy.js'
import { readDnsmasq } from './dnsmasq.js'
import { readKnotResolver } from './knot-resolver.js'
import { DNS_TLS_PORT, type LocalResolver, type Upstream } from './local-resolver.js'
import { readPdnsRecursor } from './pdns-recursor.js'
import { leadsHere, parseNdots, parseResolvConf, parseSearchDomains, usesStub } from './resolv-conf.js'
import { readResolved } from './resolved.js'
import { readStubby } from './stubby.js'
import { readUnbound } from './unbound.js'

const RESOLV_CONF = '/etc/resolv.conf'
const RESOLVED_UPSTREAM = '/run/systemd/resolve/resolv.conf'
const PROGRAMS = [
  readDnsmasq,
  readUnbound,
  readBind,
  readPdnsRecursor,
  readKnotResolver,
  readStubby,
  readDnscryptProxy,
]

export interface Resolving {
  /** Addresses that are asked at port 53. */
  readonly resolvers: readonly Placed<Prefix>[]
  /** Servers that a resolver on this host asks at other ports, or over TLS. */
  readonly upstreams: readonly Placed<Upstream>[]
  readonly searchDomains: readonly string[]
  readonly ndots: number
  /** What is not known of the resolvers on this host, for the operator: `file: what, and what to do`. */
  readonly notes: readonly string[]
}

/** @param isOwn whether an address is one of this host: a resolver may listen there, too */
export function readResolving(files: Files, isOwn: (address: Address) => boolean): Resolving {
  const resolvConf = files.read(RESOLV_CONF)
  const upstream = files.read(RESOLVED_UPSTREAM)
  const isStub = usesStub(resolvConf.text)
  const used = isStub ? [resolvConf, upstream] : [resolvConf]
  // An address may move to another host, so it stays a resolver all the same.
  const isHere = used.some(({ text }) => leadsHere(text) || parseResolvConf(text).some(isOwn))
  const locals = isHere ? PROGRAMS.flatMap((read) => read(files) ?? []) : []
  const direct = used.flatMap((file) => nameserversOf(file))
  const resolved = isStub || upstream.text !== '' ? readResolved(files) : undefined
  const others = [
    ...(isStub ? (resolved?.upstreams ?? []) : []),
    ...(resolved?.usesTls ? direct.map(overTls) : []),
    ...locals.flatMap(({ upstreams }) => upstreams),
  ]
  const resolvers = different([...direct, ...others.flatMap(asResolver)])
  const isUnknown = isStub && !isHere && resolvers.length === 0 && others.length === 0
  return {
    resolvers,
    upstreams: others.filter((each) => asResolver(each).length === 0),
    searchDomains: [...new Set(used.flatMap(({ text }) => parseSearchDomains(text)))],
    ndots: Math.max(...used.map(({ text }) => parseNdots(text))),
    notes: isHere || isUnknown ? gapsOf(locals, resolvConf, isOwn) : [],
  }
}

const nameserversOf = (file: TextFile): Placed<Prefix>[] =>
  linesOf(file.text).flatMap(({ text, line }) =>
    parseResolvConf(text).map((value) => ({ value, origin: file.at(line) })),
  )

const overTls = ({ value, origin }: Placed<Prefix>): Placed<Upstream> => ({
  value: { place: { kind: 'prefix', prefix: value }, port: DNS_TLS_PORT, isTls: true },
  origin,
})

/** Returns an upstream that is asked as those of resolv.conf are: at an address, at port 53. */
const asResolver = ({ value: { place, port, isTls }, origin }: Placed<Upstream>): Placed<Prefix>[] =>
  place.kind === 'prefix' && port === DNS_PORT && !isTls ? [{ value: place.prefix, origin }] : []

/** Leaves out addresses that are there already. */
function different(all: readonly Placed<Prefix>[]): Placed<Prefix>[] {
  const keys = new Set<string>()
  return all.filter(({ value: { family, words } }) => {
    const key = `${family} ${words.join()}`
    return !keys.has(key) && keys.add(key)
  })
}

const NAME_THEM = 'name the resolvers that it asks in infrastructure.dns'
const FORWARD = 'forward its queries to a resolver, or name the servers that it may ask in infrastructure.dns'

/**
 * Says what is not known. One resolver whose servers are all known is enough: the files of others may be left
 * from programs that do not run.
 */
function gapsOf(
  locals: readonly LocalResolver[],
  resolvConf: TextFile,
  isOwn: (address: Address) => boolean,
): string[] {
  if (locals.some(({ gap, upstreams }) => gap === undefined && upstreams.length > 0)) return []
  const gaps = locals.flatMap(({ program, gap, origin }) =>
    gap === undefined ? [] : [{ program, gap, origin }],
  )
  const [leads] = linesOf(resolvConf.text).filter(
    ({ text }) => leadsHere(text) || usesStub(text) || parseResolvConf(text).some(isOwn),
  )
  const place = originText(resolvConf.at(leads?.line))
  if (gaps.length === 0)
    return [`${place}: it leads to this host itself, and no file says whom that asks: ${NAME_THEM}`]
  return gaps.map(
    ({ program, gap, origin }) =>
      `${originText(origin)}: ${program} on this host ${gap}: ${gap.startsWith('asks') ? FORWARD : NAME_THEM}`,
  )
}
