/** Checks proxies in the environment, which updates go through, and the version of Node. */
import { join } from 'node:path'
import { fitsPorts } from '../../core/packet/ip.js'
import { CURL_PROXY } from '../../host/mirrors/mirror-collector.js'
import { isLoopbackHost } from '../../host/mirrors/url.js'
import { parseAddress } from '../../text/parse-address.js'
import { type DoctorContext, textOf } from './context.js'
import { type Finding, Findings } from './finding.js'

const PROXY = /^(?:https?|ftp|all)_proxy$/i
/** The oldest version of Node that works: package.json, "engines". */
const NODE_AT_LEAST = [20, 10] as const

/** @param variables of this shell: the programs that the operator starts have them, too */
export function environment(
  subject: Pick<DoctorContext, 'config' | 'policy'>,
  variables: Readonly<Record<string, string | undefined>> = process.env,
  root = '/',
): Finding[] {
  const found = new Findings('environment')
  const own = Object.entries(variables).map(([name, value]) => ({
    name,
    value: value ?? '',
    from: 'this shell',
  }))
  const places = [...own, ...assignments(textOf(join(root, 'etc/environment')))]
  for (const { name, value, from } of places.filter(({ name, value }) => PROXY.test(name) && value !== '')) {
    const proxy = proxyOf(value)
    if (proxy !== undefined && !isAllowed(proxy, subject))
      found.look(
        `${name} of ${from} names the proxy ${proxy.host}:${proxy.port}`,
        'updates that go through it are blocked: allow it for the users in mirrors.users',
      )
  }
  node(found)
  return found.all
}

/** Parses /etc/environment (pam_env(8)): NAME=VALUE, quoted or not. */
const assignments = (text: string) =>
  text.split('\n').flatMap((line) => {
    const match = /^\s*(?:export\s+)?(\w+)=["']?([^"'\s]*)/.exec(line)
    return match ? [{ name: match[1]!, value: match[2]!, from: '/etc/environment' }] : []
  })

interface Proxy {
  readonly host: string
  readonly port: number
}

/** Parses the URL of a proxy, leaving out user and password, which nobody else should read. */
function proxyOf(text: string): Proxy | undefined {
  const url = URL.canParse(text) && text.includes('://') ? text : `http://${text}`
  if (!URL.canParse(url)) return undefined
  const { hostname, port, protocol } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  if (host === '' || isLoopbackHost(host)) return undefined
  return { host, port: Number(port) || CURL_PROXY[protocol.replace(':', '')] || 80 }
}

/** Whether a rule allows the proxy for one of the users who update. */
function isAllowed(
  { host, port }: Proxy,
  { config, policy }: Pick<DoctorContext, 'config' | 'policy'>,
): boolean {
  const address = parseAddress(host)
  const leading = address.ok
    ? policy.rules.filter(({ fixed }) => fixed.has(address.value.family, address.value.words))
    : policy.names.find(host)
  return leading.some(
    ({ spec: { protocol, ports, users } }) =>
      (protocol === 'tcp' || protocol === 'any') &&
      (ports.length === 0 || fitsPorts(ports, port)) &&
      (users === undefined || users.some((uid) => config.mirrors.users.includes(uid))),
  )
}

function node(found: Findings, version = process.versions.node): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [least, leastMinor] = NODE_AT_LEAST
  if (major > least || (major === least && minor >= leastMinor)) found.ok(`Node ${version}`)
  else found.fail(`Node ${version} is too old`, `install ${NODE_AT_LEAST.join('.')} or later`)
}
