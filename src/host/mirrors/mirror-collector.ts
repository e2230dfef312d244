import type { Origin } from '../../core/policy/origin.js'
import { originText } from '../../core/policy/origin.js'
import type { Discovery, Manager, Mirror } from './mirror.js'
import { isLoopbackHost, parseUrl, type UrlTarget } from './url.js'

/** The bounds of one discovery: a list of mirrors may come from far away. */
const MIRRORS_AT_MOST = 4096
const NOTES_AT_MOST = 100

/** Whom a web URL leads to. */
export interface Target {
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly port: number
}

/** A value, and where it is written. */
export interface Sourced {
  readonly text: string
  readonly origin: Origin
}

/** The default port of each scheme of a proxy. A program without any other scheme in it refuses the others. */
export type ProxyPorts = Readonly<Record<string, number>>

/** libcurl's, which dnf, zypper and pacman use (CURLOPT_PROXY(3)). */
export const CURL_PROXY: ProxyPorts = {
  http: 1080,
  https: 443,
  socks4: 1080,
  socks4a: 1080,
  socks5: 1080,
  socks5h: 1080,
}

/** The default port of each scheme. */
export const WEB_PORTS = { http: 80, https: 443 }

/** Schemes that leave no trace on the network, of all package managers. */
const LOCAL = new Set(['file', 'copy', 'cdrom', 'store', 'dir', 'hd', 'iso', 'cd', 'dvd', 'media'])

const NAME_THE_HOST = 'name its host in mirrors.hosts'

/** What one discovery has found so far. */
export class MirrorCollector {
  readonly #mirrors = new Map<string, Mirror>()
  readonly #notes = new Set<string>()
  #moreMirrors = false
  #moreNotes = false

  /** The target of a URL. Local files are none; what cannot be followed is none, and a note unless `quiet`. */
  target(url: string, origin: Origin, quiet = false): Target | undefined {
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
    if (url.startsWith('/') || (scheme !== undefined && LOCAL.has(scheme))) return undefined
    const place = parseUrl(url)
    if (!place.ok) return quiet ? undefined : this.#none(origin, `this ${place.reason}: ${NAME_THE_HOST}`)
    if (isWeb(place.value)) return { ...place.value, port: place.value.port ?? WEB_PORTS[place.value.scheme] }
    const way = `${place.value.scheme}:// is not followed`
    return quiet ? undefined : this.#none(origin, `${way}: allow ${place.value.host} by a rule`)
  }

  /** The place of a proxy; one that is of no use is a note. Without a scheme it is taken for http. */
  proxy({ text, origin }: Sourced, ports: ProxyPorts): { host: string; port: number } | undefined {
    const place = parseUrl(text.includes('://') ? text : `http://${text}`)
    if (!place.ok) return this.#none(origin, `this proxy ${place.reason}: ${NAME_THE_HOST}`)
    const { scheme, host, port = ports[scheme] } = place.value
    if (port === undefined || ports[scheme] === undefined)
      return this.#none(origin, `no proxy can be reached by ${scheme}://: ${NAME_THE_HOST}`)
    if (!isLoopbackHost(host)) return { host, port }
    return this.#none(origin, 'this proxy is on this host: name the hosts that it calls in mirrors.hosts')
  }

  /** A target that is called through a proxy, or without one. */
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

  /** Whether a manager is among what was found. */
  has(manager: Manager): boolean {
    return [...this.#mirrors.values()].some((mirror) => mirror.manager === manager)
  }

  discovery(): Discovery {
    return {
      mirrors: [...this.#mirrors.values()],
      notes: [
        ...this.#notes,
        ...(this.#moreNotes ? ['there is more of the kind of these notes'] : []),
        ...(this.#moreMirrors ? [`more than ${MIRRORS_AT_MOST} mirrors: the rest is left out`] : []),
      ],
    }
  }
}

const isWeb = (place: UrlTarget): place is UrlTarget & { scheme: Target['scheme'] } =>
  Object.hasOwn(WEB_PORTS, place.scheme)
