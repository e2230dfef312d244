import type { Origin } from '../../core/policy/origin.js'

export type Manager = 'apt' | 'dnf' | 'zypper' | 'apk' | 'pacman' | 'snap'

/**
 * A host that a package manager's own files name: a mirror, a list of mirrors, or a proxy. A mirror behind a
 * proxy is left out: only the proxy is called from this host.
 */
export interface Mirror {
  /**
   * A host name in lower case without the last dot, or an address (IPv6 without brackets); never this host.
   */
  readonly host: string
  /** 1 to 65535: the port of the URL, or the default of its scheme. */
  readonly port: number
  /**
   * The SRV name that apt looks up before the host itself (RFC 2782): `_http._tcp.mirror.example.org`. apt
   * does so for every name, with or without a port in the URL; hosts and ports of the answer replace `host`
   * and `port`.
   */
  readonly service?: string
  readonly manager: Manager
  /** The line that names the host. The path of the file has the root before it, as the operator sees it. */
  readonly origin: Origin
}

/** The mirrors and notes of all files of a host. */
export interface Discovery {
  /** In the order of the files. The same host, port and service is there once, with its first line. */
  readonly mirrors: readonly Mirror[]
  /**
   * Entries that cannot be used, for the operator: `file:line: what, and what to do`. Printable ASCII,
   * without the passwords that a URL may hold.
   */
  readonly notes: readonly string[]
  /** Users that package managers download as, where their files name others than their own. */
  readonly users?: readonly string[]
}
