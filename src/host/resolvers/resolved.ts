/** Finds what systemd-resolved asks, and whether over TLS (resolved.conf(5), systemd.network(5)). */
import type { Files } from '../mirrors/file-reader.js'
import { linesOf } from '../mirrors/source-lines.js'
import type { Placed } from '../placed.js'
import { splitPort } from '../server-address.js'
import { folderSettings, listSetting, type SystemdSetting, serviceSettings } from '../systemd-conf.js'
import { placedUpstream, type Upstream } from './local-resolver.js'

const LINKS = '/run/systemd/netif/links'

export interface Resolved {
  /** The servers of its configuration; those of leases are in its resolv.conf. */
  readonly upstreams: readonly Placed<Upstream>[]
  /** Whether it asks its servers over TLS, all or those that take it. */
  readonly usesTls: boolean
}

export function readResolved(files: Files): Resolved {
  const settings = serviceSettings(files, 'resolved.conf').filter(({ section }) => section === 'Resolve')
  const networks = folderSettings(files, 'network', /\.network$/).flatMap((each) =>
    each.filter(({ section }) => section === 'Network'),
  )
  const usesTls = isTls(settings) || networks.some((setting) => isTls([setting])) || hasTlsLink(files)
  const servers = [...listSetting(settings, 'DNS'), ...listSetting(settings, 'FallbackDNS')]
  const upstreams = servers.flatMap(({ value, origin }) =>
    value.split(/\s+/).flatMap((word) => {
      // `192.0.2.53:5353%eth0#dns.example.org`
      const { host, port } = splitPort(word.replace(/[%#].*$/s, ''))
      const plain = placedUpstream({ host, port }, origin)
      return usesTls ? [...plain, ...placedUpstream({ host, port, isTls: true }, origin)] : plain
    }),
  )
  return { upstreams, usesTls }
}

const isTls = (settings: readonly SystemdSetting[]): boolean =>
  isOn(settings.findLast(({ key }) => key === 'DNSOverTLS')?.value ?? '')

/** Whether systemd-networkd has a link whose servers are asked over TLS. */
const hasTlsLink = (files: Files): boolean =>
  files
    .list(LINKS, /^\d+$/)
    .some((path) =>
      linesOf(files.leaf(path).text).some(({ text }) => isOn(/^DNS_OVER_TLS=(.*)$/.exec(text)?.[1] ?? '')),
    )

const isOn = (value: string): boolean => /^(?:1|y|yes|t|true|on|opportunistic)$/i.test(value.trim())
