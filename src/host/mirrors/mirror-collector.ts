import type { Origin } from '../../core/policy/origin.js'
import { originText } from '../../core/policy/origin.js'
import type { Discovery, Manager, Mirror } from './mirror.js'
import { isLoopbackHost, parseUrl, type UrlTarget } from './url.js'

/** The limits of one discovery: a list of mirrors may come from another host. */
const MIRRORS_AT_MOST = 4096
const NOTES_AT_MOST = 100

/** The target of a web URL. */
export interface Target {
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly port: number
}

/** A value and its origin. */
export interface Sourced {
  readonly text: string
  readonly origin: Origin
}

/** The schemes of proxies that a program takes, with their default ports. */
export type ProxyPorts = Readonly<Record<string, number>>

/** The proxy schemes of libcurl, which dnf, zypper and pacman use (CURLOPT_PROXY(3)). */
export const CURL_PROXY: ProxyPorts = {
  http: 1080,
  https: 443,
  socks4: 1080,
  socks4a: 1080,
  socks5: 1080,
  socks5h: 1080,
}

/** The default port of each web scheme. */
export const WEB_PORTS = { http: 80, https: 443 }

/** The schemes of all package managers that do not use the network. */
const LOCAL = new Set(['file', 'copy', 'cdrom', 'store', 'dir', 'hd', 'iso', 'cd', 'dvd', 'media'])

const ITS_HOSTS = 'name the hosts that it calls in mirrors.hosts, and its user in mirrors.users'
const NAME_THE_HOST = 'name its host in mirrors.hosts'

/** Collects the mirrors and notes of one discovery. */
export class MirrorCollector {
  readonly #mirrors = new Map<string, Mirror>()
  readonly #notes = new Set<string>()
  #moreMirrors = false
  #moreNotes = false
  readonly #users = new Set<string>()

  /**
   * Returns the target of a URL; undefined for a local file, and, with a note unless `quiet`, when the scheme
   * is not known.
   */
  target(url: string, origin: Origin, quiet = false): Target | undefined {
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
    if (url.startsWith('/') || (scheme !== undefined && LOCAL.has(scheme))) return undefined
    const place = parseUrl(url)
    if (!place.ok) return quiet ? undefined : this.#none(origin, `this ${place.reason}: ${NAME_THE_HOST}`)
    if (isLoopbackHost(place.value.host)) return this.#onThisHost(place.value, origin)
    if (isWeb(place.value)) return { ...place.value, port: place.value.port ?? WEB_PORTS[place.value.scheme] }
    const problem = `${place.value.scheme}:// is not followed`
    return quiet ? undefined : this.#none(origin, `${problem}: allow ${place.value.host} by a rule`)
  }

  /**
   * Returns the host and port of a proxy; undefined, with a note, when it cannot be used. The default scheme
   * is http.
   */
  proxy({ text, origin }: Sourced, ports: ProxyPorts): { host: string; port: number } | undefined {
    const place = parseUrl(text.includes('://') ? text : `http://${text}`)
    if (!place.ok) return this.#none(origin, `this proxy ${place.reason}: ${NAME_THE_HOST}`)
    const { scheme, host, port = ports[scheme] } = place.value
    if (port === undefined || ports[scheme] === undefined)
      return this.#none(origin, `no proxy can be reached by ${scheme}://: ${NAME_THE_HOST}`)
    if (!isLoopbackHost(host)) return { host, port }
    return this.#none(origin, `this proxy is on this host: ${ITS_HOSTS}`)
  }

  /**
   * Makes a note on a mirror on this host: a cache, such as apt-cacher-ng, calls others with a user of its
   * own.
   */
  #onThisHost({ host, port }: UrlTarget, origin: Origin): undefined {
    const place = port === undefined ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`
    return this.#none(
      origin,
      `updates come from this host (${place}): if a proxy or cache answers there, ${ITS_HOSTS}`,
    )
  }

  /** Adds a target, or the proxy through which it is called. */
  reach(manager: Manager, target: Target, origin: Origin, proxy?: Sourced, ports = CURL_PROXY): void {
    const place = proxy ? this.proxy(proxy, ports) : target
    if (place) this.add(manager, place, proxy?.origin ?? origin)
  }

  add(manager: Manager, { host, port }: Omit<Target, 'scheme'>, origin: Origin, service?: string): void {
    if (isLoopbackHost(host)) return
    const key = `${host} ${port} ${service ?? ''}`
    if (this.#mirrors.has(key)) return
    if (this.#mirrors.size >= MIRRORS_AT_MOST) {
      this.#moreMirrors = true
      return
    }
    this.#mirrors.set(key, { host, port, ...(service !== undefined && { service }), manager, origin })
  }

  #none(origin: Origin, text: string): undefined {
    this.note(origin, text)
  }

  note(origin: Origin, text: string): void {
    const note = `${originText(origin)}: ${text}`.replace(/[^\x20-\x7e]/g, '?')
    if (this.#notes.size < NOTES_AT_MOST || this.#notes.has(note)) this.#notes.add(note)
    else this.#moreNotes = true
  }

  /** Adds a user that a package manager downloads as, where its files name another than its own. */
  user(name: string): void {
    this.#users.add(name)
  }

  /** Whether a mirror of a package manager was found. */
  has(manager: Manager): boolean {
    return [...this.#mirrors.values()].some((mirror) => mirror.manager === manager)
  }

  discovery(): Discovery {
    return {
      ...(this.#users.size > 0 && { users: [...this.#users] }),
      mirrors: [...this.#mirrors.values()],
      notes: [
        ...this.#notes,
        ...(this.#moreNotes ? ['there are more notes of this kind'] : []),
        ...(this.#moreMirrors ? [`more than ${MIRRORS_AT_MOST} mirrors: the rest is left out`] : []),
      ],
    }
  }
}

const isWeb = (place: UrlTarget): place is UrlTarget & { scheme: Target['scheme'] } =>
  Object.hasOwn(WEB_PORTS, place.scheme)
