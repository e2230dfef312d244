/** Checks the resolvers of this host: which are known, and whether they answer. */
import { Resolver } from 'node:dns/promises'
import { join } from 'node:path'
import { formatAddress, formatPrefix } from '../../core/packet/address-text.js'
import { familyBits, type Prefix } from '../../core/packet/ip.js'
import { PrefixSet } from '../../core/packet/prefix-set.js'
import { namesOf } from '../../core/policy/allowlist.js'
import { resolversOf } from '../../core/policy/policy.js'
import { resolverNotes } from '../../host/infrastructure-notes.js'
import { parseResolvConf, usesStub } from '../../host/resolvers/resolv-conf.js'
import { type DoctorContext, textOf } from './context.js'
import { type Finding, Findings } from './finding.js'

/** Resolvers that are tried. resolv.conf(5) itself asks three; a configuration may name more. */
const ASKED_AT_MOST = 6
const TIMEOUT_MS = 1500
const TRIES = 2
const ANYTHING = 'example.org'
/** Error codes that come from an answer of the resolver. */
const ANSWERS = new Set(['ENOTFOUND', 'ENODATA', 'ESERVFAIL', 'EFORMERR', 'ENOTIMP'])

export async function resolvers(subject: DoctorContext, root = '/'): Promise<Finding[]> {
  const found = new Findings('resolvers')
  const resolvConf = textOf(join(root, 'etc/resolv.conf'))
  const { policy, config } = subject
  const allowed = resolversOf(policy)
  const notes = resolverNotes(config, subject.host)
  for (const note of notes) {
    const [place = '', what = '', ...advice] = note.split(': ')
    found.look(`${place}: ${what}`, advice.join(': '))
  }
  if (allowed.length === 0 && notes.length === 0)
    found.look('none outside this host is known', whyNone(resolvConf))
  if (allowed.length > 0 && config.infrastructure.dns !== 'auto')
    unnamed(found, parseResolvConf(resolvConf), allowed)
  if (usesStub(resolvConf)) found.ok('systemd-resolved is asked on this host, and asks those below')
  const name = nameToAsk(subject)
  const single = allowed.filter(({ family, length }) => length === familyBits(family)).slice(0, ASKED_AT_MOST)
  if (name === undefined && single.length > 0)
    found.note(
      `not asked: ${single.map(formatPrefix).join(', ')}`,
      'names are enforced, and no rule has one to ask for',
    )
  else await Promise.all(single.map((resolver) => tryIt(found, resolver, name!)))
  return found.all
}

function whyNone(resolvConf: string): string {
  if (resolvConf === '')
    return 'there is no /etc/resolv.conf: name the resolvers in infrastructure.dns, or no name is found'
  if (/^[ \t]*nameserver/m.test(resolvConf))
    return '/etc/resolv.conf leads to this host itself: name the resolvers that it asks in infrastructure.dns'
  return '/etc/resolv.conf names none: name the resolvers in infrastructure.dns, or no name is found'
}

/** Finds resolvers of /etc/resolv.conf that the configuration does not name. */
function unnamed(found: Findings, own: readonly Prefix[], allowed: readonly Prefix[]): void {
  const set = PrefixSet.of(allowed)
  for (const each of own.filter(({ family, words }) => !set.has(family, words)))
    found.look(
      `/etc/resolv.conf names ${formatPrefix(each)}, and infrastructure.dns does not`,
      'queries to it are blocked: name it there, or write `dns: auto`',
    )
}

/** Returns a name that may be queried, or undefined when none may. */
function nameToAsk({ policy }: DoctorContext): string | undefined {
  const [first] = namesOf(policy)
  return policy.queryPolicy === undefined ? (first ?? ANYTHING) : first
}

async function tryIt(found: Findings, { family, words }: Prefix, name: string): Promise<void> {
  const address = formatAddress(family, words)
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  resolver.setServers([family === 6 ? `[${address}]` : address])
  const code = await resolver.resolve4(name).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )
  if (code === undefined || ANSWERS.has(code)) found.ok(`${address} answers`)
  else if (code === 'EREFUSED')
    found.look(`${address} refuses to answer`, 'no name is found by it: ask its operator, or use another')
  else
    found.look(
      `${address} does not answer (${code})`,
      'names, and with them updates, may fail: is it up, is there a route?',
    )
}
