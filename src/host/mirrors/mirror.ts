import type { Origin } from '../../core/policy/origin.js'

export type Manager = 'apt' | 'dnf' | 'zypper' | 'apk' | 'pacman' | 'snap'

/**
 * A host that a package manager's own files name: a mirror, a list of mirrors, or the proxy before them. Where a
 * proxy stands before a mirror only the proxy is found: nobody on this host calls the mirror.
 */
export interface Mirror {
  /** A host name in lower case without the last dot, or an address (IPv6 without brackets). Never of this host. */
  readonly host: string
  /** 1 to 65535: the URL's, or the default of its scheme. */
  readonly port: number
  /**
   * The SRV name that is asked before the host itself (RFC 2782): `_http._tcp.mirror.example.org`. apt asks it for
   * every name, with a port in the URL or without; hosts and ports of the answer take the place of these here.
   */
  readonly service?: string
  readonly manager: Manager
  /** The line that names the host, in a file as the operator sees it: with the root before it. */
  readonly origin: Origin
}

/** What all files of a host say. */
export interface Discovery {
  /** In the order of the files; the same host, port and service once, as its first file names it. */
  readonly mirrors: readonly Mirror[]
  /**
   * What was found and cannot be used, for the operator: `file:line: what, and what to do`. Printable ASCII, without
   * the passwords that a URL may hold.
   */
  readonly notes: readonly string[]
}
