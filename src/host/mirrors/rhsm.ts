/** Finds the hosts that subscription-manager and its plugin of dnf call (rhsm.conf(5)). */
import type { Files, TextFile } from './file-reader.js'
import { parseIni, type Section } from './ini.js'
import type { MirrorCollector, Sourced } from './mirror-collector.js'

const CONF = '/etc/rhsm/rhsm.conf'
const HTTPS_PORT = 443

export function discoverRhsm(files: Files, found: MirrorCollector): void {
  const file = files.leaf(CONF)
  const sections = parseIni(file.text)
  const value = (section: string, key: string) => settingOf(sections, section, key, file)
  const proxy = proxyOf(value)
  const server = value('server', 'hostname')
  const port = value('server', 'port')?.text ?? HTTPS_PORT
  for (const url of [
    server && { ...server, text: `https://${server.text}:${port}` },
    value('rhsm', 'baseurl'),
  ]) {
    const target = url && found.target(url.text, url.origin)
    if (target) found.reach('dnf', target, url.origin, proxy)
  }
}

/** Returns a value that is not empty. */
function settingOf(
  sections: readonly Section[],
  section: string,
  key: string,
  file: TextFile,
): Sourced | undefined {
  const entries = sections.filter(({ name }) => name === section).flatMap((each) => each.entries)
  const last = entries.findLast((entry) => entry.key === key)
  const text = last?.value[0]?.text.trim() ?? ''
  return text === '' ? undefined : { text, origin: file.at(last!.line) }
}

/** Joins host and port of the proxy to a URL. */
function proxyOf(value: (section: string, key: string) => Sourced | undefined): Sourced | undefined {
  const host = value('server', 'proxy_hostname')
  if (host === undefined) return undefined
  const scheme = value('server', 'proxy_scheme')?.text ?? 'http'
  const port = value('server', 'proxy_port')?.text ?? '3128'
  return { text: `${scheme}://${host.text}:${port}`, origin: host.origin }
}
